from pathlib import Path

import pytest

from sightsmith_training.engine.contract import Violation
from sightsmith_training.engine.detection_samples import select_detection_samples
from sightsmith_training.engine.reports.aws_files import write_manifest_files
from sightsmith_training.engine.reports.custom_labels import TrainingData
from sightsmith_training.engine.reports.image_problems import image_problems
from sightsmith_training.engine.samples import select_samples
from sightsmith_training.engine.specification import SpecBox, SpecEntry
from tests.unit.training_engine.reports.cases import NOW


def entry(name: str, labels=(), boxes: int = 0, split="train", **box) -> SpecEntry:
    sides = {"left": 1, "top": 2, "width": 30, "height": 40} | box
    return SpecEntry(
        image=f"projects/p/datasets/d/images/{name}",
        sha256="0" * 64,
        key=f"images/{name}",
        split=split,
        labels=list(labels),
        boxes=[SpecBox(label="bolt", **sides)] * boxes,
        width=100,
        height=80,
    )


def codes(entries, task, unusable=()) -> dict[str, list[str]]:
    found = image_problems(entries, task, unusable)
    return {image.rpartition("/")[2]: [problem.code for problem in problems] for image, problems in found.items()}


def data_of(entries, problems) -> TrainingData:
    return TrainingData("p", "v1", "IMAGE_LEVEL_LABELS", entries, "s3://store", NOW, problems)


ENTRIES = [
    *(entry(f"{label}{number}", [label]) for label in "ab" for number in range(3)),
    entry("bare"),
    entry("both", ["a", "b"]),
    entry("boxed", boxes=2),
]


@pytest.mark.parametrize("task", ["classification", "multi_label_classification"])
def test_images_are_told_to_be_of_no_use_when_a_classifier_ignores_them(task) -> None:
    problems = image_problems(ENTRIES, task, ())
    data = data_of(ENTRIES, problems)
    samples = select_samples(ENTRIES, task, 1)
    assert {entry.image for entry in ENTRIES if data.is_used(entry)} == {entry.image for entry in samples.entries}
    assert len(problems) == samples.ignored


def test_it_is_told_why_a_classifier_ignores_an_image() -> None:
    assert codes(ENTRIES, "classification") == {
        "bare": ["WARNING_UNANNOTATED_RECORD"],
        "both": ["WARNING_NO_ANNOTATIONS"],
    }
    assert codes(ENTRIES, "multi_label_classification") == {}


def test_images_are_told_to_be_of_no_use_when_a_detector_ignores_them() -> None:
    problems = image_problems(ENTRIES, "detection", ())
    data = data_of(ENTRIES, problems)
    samples = select_detection_samples(ENTRIES, 0.2)
    assert {entry.image for entry in ENTRIES if data.is_used(entry)} == {entry.image for entry in samples.entries}
    assert len(problems) == samples.ignored == 7


def test_pictures_of_objects_are_used_where_scenes_are_composed_of_them() -> None:
    entries = [entry("logo", ["acme"]), entry("scene", boxes=1, split="test"), entry("vague", ["acme"], split="test")]
    assert codes(entries, "detection") == {"vague": ["WARNING_NO_ATTRIBUTE_ANNOTATIONS"]}


def test_a_flawed_box_is_told_at_the_box_and_keeps_its_image_from_being_used(tmp_path: Path) -> None:
    entries = [*(entry(f"e{number}", boxes=1) for number in range(9)), entry("flat", boxes=1, height=0)]
    flawed = select_detection_samples(entries, 0.2).flawed
    problems = image_problems(entries, "detection", flawed)
    (of_box, of_image) = problems[entries[-1].image]
    assert (of_box.code, of_box.box) == ("ERROR_INVALID_BOUNDING_BOX", 0)
    assert "no area" in of_box.message
    assert (of_image.code, of_image.box) == ("ERROR_NO_VALID_ANNOTATIONS", None)
    write_manifest_files(tmp_path, data_of(entries, problems))
    lines = (tmp_path / "TrainingManifestWithValidation-p-v1.json").read_text().splitlines()
    assert [line.count("ERROR_") for line in lines] == [0] * 9 + [2]


def test_an_unreadable_image_is_invalid_even_if_it_is_of_no_use_too() -> None:
    unusable = [Violation(field=ENTRIES[6].image, description="is not in the object store")]
    assert codes(ENTRIES, "multi_label_classification", unusable) == {"bare": ["ERROR_INVALID_IMAGE"]}
    assert codes(ENTRIES, "classification", unusable)["bare"] == ["ERROR_INVALID_IMAGE"]
