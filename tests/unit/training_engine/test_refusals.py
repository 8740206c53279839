"""What the engine says when a training cannot succeed. Nothing here gets as far as a backbone."""

from pathlib import Path

import pytest

from sightsmith_training.engine.contract import Failure, Violation
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.samples import select_samples
from sightsmith_training.engine.specification import SpecBox, SpecEntry, TrainingOptions, TrainingSpec
from sightsmith_training.engine.training import train

from .conftest import run_engine
from .photos import Project, crops


def failure_of(spec: TrainingSpec) -> Failure:
    with pytest.raises(TrainingError) as caught:
        read(spec)
    return caught.value.failure


def read(spec: TrainingSpec) -> None:
    train(spec, lambda progress: None)


def test_too_few_images_are_named_by_label(project: Project) -> None:
    entries = [e for e in crops(project, train=4) if e.image[-1] not in "23" or e.labels[0] not in ("cat", "temple")]
    failure = failure_of(project.spec(entries))
    assert failure.reason == "NOT_ENOUGH_DATA"
    assert failure.violations == [
        Violation(field="labels['cat']", description="has 2 training images, at least 3 are needed"),
        Violation(field="labels['temple']", description="has 2 training images, at least 3 are needed"),
    ]


def test_a_label_of_test_images_only_is_named(project: Project) -> None:
    entries = [e for e in crops(project) if e.labels != ["cat"] or e.split == "test"]
    (violation,) = failure_of(project.spec(entries)).violations
    assert violation.field == "labels['cat']"
    assert "0 training images" in violation.description


@pytest.mark.parametrize("labels", [[], ["cat"]])
def test_one_label_is_not_enough(project: Project, labels: list[str]) -> None:
    failure = failure_of(project.spec([e for e in crops(project) if e.labels == labels]))
    assert failure.reason == "NOT_ENOUGH_DATA"
    assert failure.violations[0].field == "labels"


def test_an_image_with_two_labels_is_refused_where_one_is_asked_for(project: Project) -> None:
    entries = crops(project)
    entries[3] = entries[3].model_copy(update={"labels": ["cat", "dog"]})
    failure = failure_of(project.spec(entries, options=TrainingOptions(task="classification")))
    assert failure.reason == "NOT_ENOUGH_DATA"
    assert [violation.field for violation in failure.violations] == ["task"]


def test_images_without_labels_are_counted(project: Project) -> None:
    entries = crops(project)
    entries[0] = entries[0].model_copy(update={"labels": []})
    samples = select_samples(entries, "classification", 3)
    assert samples.ignored == 1
    assert len(samples.entries) == len(entries) - 1
    negatives = select_samples(entries, "multi_label_classification", 3)
    assert negatives.ignored == 0
    assert sorted(negatives.truth.sum(axis=1).tolist()) == [0] + [1] * (len(entries) - 1)


def with_bytes(project: Project, entry: SpecEntry, encoded: bytes) -> SpecEntry:
    return project.put(entry.image.rsplit("/", 1)[1], encoded, entry.split, entry.labels)


def strict(project: Project, entries: list[SpecEntry]) -> TrainingSpec:
    return project.spec(entries, max_unusable_fraction=0)


def named(entry: SpecEntry, problem: str) -> list[Violation]:
    return [Violation(field=entry.image, description=problem)]


@pytest.mark.parametrize(
    ("keep", "problem"),
    [(0, "the image has no bytes"), (10, "not a readable JPEG"), (4000, "ends early or is damaged")],
)
def test_an_unreadable_image_is_named(project: Project, keep: int, problem: str) -> None:
    entries = crops(project)
    encoded = (project.store / entries[5].key).read_bytes()
    entries[5] = with_bytes(project, entries[5], encoded[:keep])
    failure = failure_of(strict(project, entries))
    assert failure.reason == "TOO_MANY_UNUSABLE_IMAGES"
    (violation,) = failure.violations
    assert violation.field == entries[5].image
    assert problem in violation.description
    assert entries[5].image in failure.message


def test_a_label_that_broken_images_starve_is_named(project: Project) -> None:
    entries = crops(project, train=4)
    for row in [row for row, entry in enumerate(entries) if entry.image.endswith(("cat-0", "cat-1"))]:
        entries[row] = with_bytes(project, entries[row], b"no image")
    failure = failure_of(project.spec(entries))
    assert failure.reason == "NOT_ENOUGH_DATA"
    assert failure.violations == [
        Violation(field="labels['cat']", description="has 2 training images, at least 3 are needed")
    ]


def test_a_missing_image_is_named(project: Project) -> None:
    entries = crops(project)
    (project.store / entries[2].key).unlink()
    assert failure_of(strict(project, entries)).violations == named(entries[2], "is not in the object store")


def test_an_altered_image_is_named(project: Project) -> None:
    entries = crops(project)
    (project.store / entries[2].key).write_bytes((project.store / entries[3].key).read_bytes())
    found = failure_of(strict(project, entries)).violations
    assert found == named(entries[2], "has other bytes than the snapshot recorded")


def test_the_program_reports_failures_as_messages(project: Project) -> None:
    entries = crops(project)
    (project.store / entries[2].key).unlink()
    run = run_engine(strict(project, entries), project.folder / "run")
    assert run.status == 1
    assert run.failure.violations[0].field == entries[2].image
    assert run.progress[0].percent == 0


def test_a_wrong_specification_names_its_fields(project: Project) -> None:
    spec = project.spec(crops(project)).model_copy(update={"seed": -1, "parity_tolerance": "small"})
    run = run_engine(spec, project.folder / "run")
    assert run.status == 1
    assert {violation.field for violation in run.failure.violations} == {"seed", "parity_tolerance"}


def boxed(entry: SpecEntry, width: float = 50) -> SpecEntry:
    box = SpecBox(label=entry.labels[0], left=10, top=20, width=width, height=60)
    return entry.model_copy(update={"labels": [], "boxes": [box], "width": 200, "height": 200})


def test_a_detector_without_its_weights_says_how_to_get_them(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTSMITH_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("SIGHTSMITH_FETCH_MISSING_WEIGHTS", "false")
    failure = failure_of(project.spec([boxed(entry) for entry in crops(project)]))
    assert failure.reason == "WEIGHTS_MISSING"
    assert "sightsmith models fetch nanodet-g" in failure.message
    assert not (project.folder / "output").exists()


def test_a_label_of_test_boxes_without_a_picture_is_named(project: Project) -> None:
    """Boxes on test images alone: the training images are taken for pictures of the objects."""
    entries = [
        boxed(entry) if entry.split == "test" else entry
        for entry in crops(project)
        if entry.split == "test" or entry.labels != ["cat"]
    ]
    failure = failure_of(project.spec(entries))
    assert failure.reason == "NOT_ENOUGH_DATA"
    assert [violation.field for violation in failure.violations] == ["labels['cat']"]


def test_boxes_of_no_size_are_named(project: Project) -> None:
    failure = failure_of(project.spec([boxed(entry, width=0) for entry in crops(project)]))
    assert failure.reason == "TOO_MANY_UNUSABLE_IMAGES"
    assert failure.violations[0].field.endswith(".boxes[0]")
    assert failure.violations[0].description == "has no area: 0 × 60 pixels"


def test_a_label_with_too_few_boxed_images_is_named(project: Project) -> None:
    entries = [boxed(entry) for entry in crops(project) if entry.labels != ["cat"] or entry.image[-1] == "0"]
    failure = failure_of(project.spec(entries))
    assert failure.violations == [
        Violation(field="labels['cat']", description="has 1 training images, at least 3 are needed")
    ]
