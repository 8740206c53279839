import json
import tracemalloc
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.manifest_check import Use, check_line
from sightsmith_training.engine.judging.answers import Detections
from sightsmith_training.engine.judging.detection_matches import DetectionMatches, match_detections
from sightsmith_training.engine.reports.aws_files import write_evaluation_files, write_manifest_files
from sightsmith_training.engine.reports.custom_labels import Problem
from sightsmith_training.engine.reports.image_outcomes import Matches
from tests.unit.training_engine.reports.cases import NOW, classified, data_for, detected, evaluation_of

MODEL = "projects/shop/models/v3"
SEEDS = st.integers(0, 10_000)
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)


def lines(folder: Path, kind: str) -> list[dict]:
    return [json.loads(line) for line in (folder / f"{kind}-shop-v3.json").read_bytes().splitlines()]


def evaluated(folder: Path, matches: Matches, **changes) -> tuple[dict, list[dict]]:
    write_evaluation_files(folder, data_for(matches, **changes), matches, evaluation_of(matches), MODEL, NOW)
    return lines(folder, "EvaluationResultSummary")[0], lines(folder, "TestingGroundTruth")


def told_outcomes(line: dict) -> list[tuple[str, float, dict]]:
    """Label, confidence and details of every prediction of a line of the evaluation snapshot."""
    boxes = line.get("rekognition-custom-labels-evaluation-metadata")
    if boxes:
        annotations = line["rekognition-custom-labels-evaluation"]["annotations"]
        labels = [boxes["class-map"][str(annotation["class_id"])] for annotation in annotations]
        told = zip(labels, boxes["objects"], strict=True)
    else:
        metadata = [
            value
            for key, value in line.items()
            if key.startswith("rekognition-custom-labels-evaluation-") and key.endswith("-metadata")
        ]
        told = ((one["class-name"], one) for one in metadata)
    return [(label, one["confidence"], one["rekognition-custom-labels-evaluation-details"]) for label, one in told]


def recounted(snapshot: list[dict]) -> Counter:
    return Counter(
        (label, outcome)
        for line in snapshot
        for label, _, details in told_outcomes(line)
        for outcome in ("true-positive", "false-positive", "false-negative")
        if details[f"is-{outcome}"]
    )


def figures(counts: Counter, label: str) -> tuple[float, float, float]:
    true, false, missed = (counts[label, f"{kind}"] for kind in ("true-positive", "false-positive", "false-negative"))
    return (
        true / (true + false) if true + false else 0.0,
        true / (true + missed) if true + missed else 0.0,
        2 * true / (2 * true + false + missed) if true + false + missed else 0.0,
    )


@in_one_folder
@given(SEEDS)
def test_the_summary_can_be_recomputed_from_the_snapshot(tmp_path: Path, seed: int) -> None:
    for matches in (classified(seed), classified(seed, single_label=False), detected(seed)):
        summary, snapshot = evaluated(tmp_path, matches)
        counts = recounted(snapshot)
        by_label = {label: figures(counts, label) for label in matches.labels}
        for told in summary["LabelEvaluationResults"]:
            metrics = told["Metrics"]
            assert (metrics["Precision"], metrics["Recall"], metrics["F1Score"]) == pytest.approx(
                by_label[told["Label"]]
            )
        there = [label for label in matches.labels if counts[label, "true-positive"] + counts[label, "false-negative"]]
        means = np.mean([by_label[label] for label in there], axis=0) if there else np.zeros(3)
        told = summary["AggregatedEvaluationResults"]
        assert [told["Precision"], told["Recall"], told["F1Score"]] == pytest.approx(means)


@in_one_folder
@given(SEEDS)
def test_the_average_recall_is_that_of_all_detections(tmp_path: Path, seed: int) -> None:
    matches = detected(seed)
    summary, snapshot = evaluated(tmp_path, matches)
    there, found = Counter(), Counter()
    for line in snapshot:
        for label, confidence, details in told_outcomes(line):
            there[label] += details["is-present-in-ground-truth"]
            found[label] += details["is-present-in-ground-truth"] and confidence > 0
    shares = [found[label] / count for label, count in there.items() if count]
    told = summary["AggregatedEvaluationResults"]
    assert told["AverageRecall"] == pytest.approx(np.mean(shares) if shares else 0)
    assert told["IntersectionOverUnion"] == 0.5
    assert told["AverageRecall"] >= told["Recall"] - 1e-9


@in_one_folder
@given(SEEDS)
def test_the_confusion_matrix_is_that_of_the_snapshot(tmp_path: Path, seed: int) -> None:
    matches = classified(seed)
    summary, snapshot = evaluated(tmp_path, matches)
    there, taken_for = Counter(), Counter()
    for line in snapshot:
        truth = next(label for label, _, details in told_outcomes(line) if details["is-present-in-ground-truth"])
        there[truth] += 1
        for label, _, details in told_outcomes(line):
            if details["is-true-positive"] or details["is-false-positive"]:
                taken_for[truth, label] += 1
    for cell in summary["AggregatedEvaluationResults"]["ConfusionMatrix"]:
        truth, predicted = cell["GroundTruthLabel"], cell["PredictedLabel"]
        assert cell["Value"] == pytest.approx(taken_for[truth, predicted] / max(there[truth], 1))


def test_six_files_under_custom_labels_names(tmp_path: Path) -> None:
    matches = classified(1)
    data, evaluation = data_for(matches), evaluation_of(matches)
    files = [
        *write_manifest_files(tmp_path, data),
        *write_evaluation_files(tmp_path, data, matches, evaluation, MODEL, NOW),
    ]
    assert [file.name for file in files] == [
        "ManifestSummary-shop-v3.json",
        "TrainingManifestWithValidation-shop-v3.json",
        "TestingManifestWithValidation-shop-v3.json",
        "TrainingGroundTruth-shop-v3.json",
        "TestingGroundTruth-shop-v3.json",
        "EvaluationResultSummary-shop-v3.json",
    ]
    assert sorted(files) == sorted(tmp_path.iterdir())


def test_the_summary_has_the_flat_form_with_the_best_label_first(tmp_path: Path) -> None:
    summary, _ = evaluated(tmp_path, classified(3, images=40))
    assert summary["Version"] == 1
    assert summary["EvaluationDetails"] == {
        "ProjectVersionArn": MODEL,
        "EvaluationEndTimestamp": "2026-01-05T11:00:00.000000",
        "Labels": ["label-000", "label-001", "label-002"],
        "NumberOfTrainingImages": 5,
        "NumberOfTestingImages": 40,
    }
    scores = [label["Metrics"]["F1Score"] for label in summary["LabelEvaluationResults"]]
    assert scores == sorted(scores, reverse=True)
    assert {label["Metrics"]["Threshold"] for label in summary["LabelEvaluationResults"]} == {0.5}
    assert len(summary["AggregatedEvaluationResults"]["ConfusionMatrix"]) == 9


def test_a_classified_image_has_a_numbered_pair_for_each_label(tmp_path: Path) -> None:
    matches = classified(0, images=1)
    matches = replace(matches, scores=np.array([[0.8, 0.3, 0.1]]), truth=np.array([[False, True, False]]))
    (line,) = evaluated(tmp_path, matches)[1]
    assert line["rekognition-custom-labels-object-id"] == 1
    assert line["rekognition-custom-labels-training-0-metadata"] == {
        "class-name": "label-001",
        "type": "groundtruth/image-classification",
        "confidence": 1.0,
        "job-name": "rekognition-custom-labels-training-job",
        "human-annotated": "yes",
        "creation-date": "2026-01-05T11:00:00.000",
    }
    wrong = line["rekognition-custom-labels-evaluation-0-metadata"]
    missed = line["rekognition-custom-labels-evaluation-1-metadata"]
    assert (wrong["class-name"], wrong["confidence"], wrong["human-annotated"]) == ("label-000", 0.8, "no")
    assert (missed["class-name"], missed["confidence"]) == ("label-001", 0.3)
    assert missed["rekognition-custom-labels-evaluation-details"] == {
        "version": 1,
        "ground-truth-labelling-jobs": ["rekognition-custom-labels-training-job"],
        "is-true-positive": False,
        "is-true-negative": False,
        "is-false-positive": False,
        "is-false-negative": True,
        "is-present-in-ground-truth": True,
    }
    assert "rekognition-custom-labels-evaluation-2" not in line


def test_missed_boxes_are_told_as_predictions_below_the_threshold(tmp_path: Path) -> None:
    image = next(image for image in detected(2).images if len(image.boxes) >= 2)
    image = replace(image, boxes=image.boxes[:2], box_labels=np.array([0, 1]))
    unsure = Detections(image.boxes[:1] + 1, np.array([0]), np.array([0.009]))
    matches = match_detections([image], ["bolt", "nut"], [unsure], np.full(2, 0.5))
    (line,) = evaluated(tmp_path, matches)[1]
    seen, unseen = line["rekognition-custom-labels-evaluation"]["annotations"]
    left, top = image.boxes[0, :2]
    assert (seen["left"], seen["top"]) == (left + 1, top + 1)
    assert (unseen["left"], unseen["top"]) == tuple(image.boxes[1, :2])
    metadata = line["rekognition-custom-labels-evaluation-metadata"]
    assert [one["confidence"] for one in metadata["objects"]] == [0.009, 0.0]
    assert metadata["class-map"] == {"0": "bolt", "1": "nut"}
    assert metadata["intersection-over-union"] == 0.5
    assert "rekognition-custom-labels-evaluation-0" not in line
    assert line["rekognition-custom-labels-training-0"]["image_size"] == [{"width": 320, "height": 240, "depth": 3}]


def test_manifests_tell_what_is_wrong_where_it_is_wrong(tmp_path: Path) -> None:
    matches = detected(4)
    data = data_for(matches)
    boxed = next(entry for entry in data.of_split("train") if entry.boxes)
    unread, empty = data.of_split("test")[1], data.of_split("test")[3]
    problems = {
        boxed.image: [Problem("ERROR_BOUNDING_BOX_TOO_SMALL", "The box is too small.", box=0)],
        unread.image: [Problem("ERROR_INVALID_IMAGE", "The image cannot be read.")],
        empty.image: [Problem("WARNING_UNANNOTATED_RECORD", "The image has no labels.")],
    }
    terminal = [("test", Problem("ERROR_MANIFEST_TOO_FEW_LABELS", "There are too few labels."))]
    write_manifest_files(tmp_path, replace(data, problems=problems, terminal=terminal))

    line = lines(tmp_path, "TrainingManifestWithValidation")[data.of_split("train").index(boxed)]
    told = line["rekognition-custom-labels-training-0"]["annotations"][0]["errors"]
    assert told == [{"code": "ERROR_BOUNDING_BOX_TOO_SMALL", "message": "The box is too small."}]
    assert "errors" not in line
    testing = lines(tmp_path, "TestingManifestWithValidation")
    assert testing[1]["errors"] == [{"code": "ERROR_INVALID_IMAGE", "message": "The image cannot be read."}]
    assert testing[3]["warnings"][0]["code"] == "WARNING_UNANNOTATED_RECORD"
    assert lines(tmp_path, "ManifestSummary") == [
        {
            "statistics": {
                "training": {
                    "use_case": "OBJECT_LOCALIZATION",
                    "total_json_lines": 5,
                    "valid_json_lines": 5,
                    "invalid_json_lines": 0,
                    "ignored_json_lines": 0,
                    "error_json_line_indices": [],
                    "errors": [],
                },
                "testing": {
                    "use_case": "OBJECT_LOCALIZATION",
                    "total_json_lines": 12,
                    "valid_json_lines": 10,
                    "invalid_json_lines": 1,
                    "ignored_json_lines": 1,
                    "error_json_line_indices": [2],
                    "errors": [{"code": "ERROR_MANIFEST_TOO_FEW_LABELS", "message": "There are too few labels."}],
                },
            },
            "errors": [],
        }
    ]


def test_only_images_that_were_used_are_in_the_training_snapshot(tmp_path: Path) -> None:
    matches = classified(5)
    lost = data_for(matches).of_split("train")[2]
    summary, _ = evaluated(tmp_path, matches, problems={lost.image: [Problem("ERROR_INVALID_IMAGE", "unreadable")]})
    assert len(lines(tmp_path, "TrainingGroundTruth")) == 4
    assert summary["EvaluationDetails"]["NumberOfTrainingImages"] == 4


def test_images_are_named_by_where_they_came_from_or_else_lie(tmp_path: Path) -> None:
    write_manifest_files(tmp_path, data_for(classified(6)))
    refs = [line["source-ref"] for line in lines(tmp_path, "TestingManifestWithValidation")]
    assert refs[:2] == ["s3://store/data/images/projects/shop/images/0000", "s3://shop/pictures/0001.jpg"]


@pytest.mark.parametrize("matches", [classified(7), classified(7, single_label=False), detected(7)])
def test_labelling_can_import_the_files_again(tmp_path: Path, matches: Matches) -> None:
    data = data_for(matches)
    write_manifest_files(tmp_path, data)
    evaluated(tmp_path, matches)
    boxes = isinstance(matches, DetectionMatches)
    for kind, split in (("TrainingGroundTruth", "train"), ("TestingManifestWithValidation", "test")):
        read = (tmp_path / f"{kind}-shop-v3.json").read_bytes().splitlines()
        for entry, line in zip(data.of_split(split), read, strict=True):
            if not entry.labels and not entry.boxes:
                continue
            checked = check_line(line, split=Split.TRAIN)
            assert checked.faults == ()
            assert checked.use is (Use.BOXES if boxes else Use.IMAGE_LABELS)
            labels = [box.label for box in entry.boxes] if boxes else entry.labels
            assert sorted(annotation.label for annotation in checked.image.annotations) == sorted(labels)
    for line in (tmp_path / "TestingGroundTruth-shop-v3.json").read_bytes().splitlines():
        assert not check_line(line, split=Split.TEST).rejection


def test_many_images_are_not_held_as_text(tmp_path: Path) -> None:
    data = data_for(classified(8))
    many = replace(data, entries=data.entries * 300)
    write_manifest_files(tmp_path, data)
    tracemalloc.start()
    files = write_manifest_files(tmp_path, many)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < sum(file.stat().st_size for file in files) / 4
