"""What is written about a training that failed because of its data."""

import json
from pathlib import Path

import pytest

from sightsmith_training.engine.contract import Failure, Violation
from sightsmith_training.engine.reports.failure_report import FailedTraining, write_failure_report
from sightsmith_training.engine.specification import SpecBox, SpecEntry
from tests.unit.training_engine.reports.cases import NOW


def entry(number: int, split: str, labels: tuple[str, ...] = (), *, boxed: bool = False) -> SpecEntry:
    boxes = [SpecBox(label="bolt", left=1, top=2, width=30, height=40)] if boxed else []
    image = f"projects/shop/datasets/{split}/images/i-{number}"
    return SpecEntry(
        image=image, sha256="0" * 64, key=f"images/{number}", split=split, labels=list(labels), boxes=boxes
    )


def failed(entries: list[SpecEntry], failure: Failure, wish: str = "auto") -> FailedTraining:
    return FailedTraining("shop", "j-1", entries, wish, failure, "s3://store/data", NOW)


def written(folder: Path, training: FailedTraining) -> tuple[dict, list[dict], list[dict]]:
    summary, training_lines, testing_lines = (
        [json.loads(line) for line in path.read_bytes().splitlines()] for path in write_failure_report(folder, training)
    )
    (only,) = summary
    return only["statistics"], training_lines, testing_lines


def too_many(*fields: str) -> Failure:
    violations = [Violation(field=field, description="is not in the object store") for field in fields]
    return Failure(reason="TOO_MANY_UNUSABLE_IMAGES", message="more than 20 % cannot be used", violations=violations)


@pytest.mark.parametrize(("split", "other"), [("train", "testing"), ("test", "training")])
def test_the_split_with_the_unusable_images_is_at_fault(tmp_path: Path, split: str, other: str) -> None:
    entries = [entry(number, "train" if number < 3 else "test", ("bolt",)) for number in range(6)]
    bad = next(entry for entry in entries if entry.split == split)
    statistics, *lines = written(tmp_path, failed(entries, too_many(bad.image)))
    at_fault = statistics["training" if split == "train" else "testing"]
    assert at_fault["errors"] == [
        {"code": "ERROR_TOO_MANY_INVALID_ROWS_IN_MANIFEST", "message": "more than 20 % cannot be used"}
    ]
    assert (at_fault["invalid_json_lines"], at_fault["error_json_line_indices"]) == (1, [1])
    assert statistics[other]["errors"] == []
    told = [line["errors"][0]["code"] for line in lines[0] + lines[1] if "errors" in line]
    assert told == ["ERROR_INVALID_IMAGE"]


def test_boxes_that_cannot_be_right_are_told_at_the_box(tmp_path: Path) -> None:
    entries = [entry(0, "train", boxed=True), entry(1, "train", boxed=True)]
    statistics, lines, _ = written(tmp_path, failed(entries, too_many(f"{entries[1].image}.boxes[0]")))
    assert statistics["training"]["use_case"] == "OBJECT_LOCALIZATION"
    (box,) = lines[1]["rekognition-custom-labels-training-0"]["annotations"]
    assert box["errors"][0]["code"] == "ERROR_INVALID_BOUNDING_BOX"
    assert "errors" not in lines[0]


def test_too_few_labels_are_the_training_data_s_fault(tmp_path: Path) -> None:
    failure = Failure(
        reason="NOT_ENOUGH_DATA",
        message="1 of 2 labels have fewer than 3 training images",
        violations=[Violation(field="labels['nut']", description="has 1 training images, at least 3 are needed")],
    )
    entries = [entry(number, "train", ("bolt",) if number else ("nut",)) for number in range(4)]
    statistics, lines, _ = written(tmp_path, failed(entries, failure))
    assert [error["code"] for error in statistics["training"]["errors"]] == ["ERROR_MANIFEST_TOO_FEW_USABLE_LABELS"]
    assert statistics["training"]["use_case"] == "IMAGE_LEVEL_LABELS"
    assert not any("errors" in line for line in lines)


def test_what_cannot_be_decided_is_not_determined(tmp_path: Path) -> None:
    failure = Failure(reason="NOT_ENOUGH_DATA", message="no training image has a box")
    statistics, lines, _ = written(tmp_path, failed([entry(0, "train", ("bolt",))], failure, "detection"))
    assert statistics["training"]["use_case"] == "NOT_DETERMINED"
    assert statistics["training"]["errors"][0]["message"] == "no training image has a box"
    assert len(lines) == 1


@pytest.mark.parametrize("reason", ["EXPORT_MISMATCH", "OUT_OF_MEMORY", "DISK_FULL", "TRAINING_FAILED"])
def test_other_failures_are_none_of_the_data_s(reason: str) -> None:
    assert not failed([], Failure(reason=reason, message="")).is_of_data
