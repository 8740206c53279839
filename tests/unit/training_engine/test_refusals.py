"""What the engine says when a training cannot succeed. Nothing here gets as far as a backbone."""

import pytest
from obstore.store import LocalStore

from sightsmith_training.engine.contract import Failure, SpecEntry, TrainingSpec, Violation
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.samples import read_pixels, select_samples

from .conftest import run_engine
from .photos import Project, crops


def failure_of(spec: TrainingSpec) -> Failure:
    with pytest.raises(TrainingError) as caught:
        read(spec)
    return caught.value.failure


def read(spec: TrainingSpec) -> None:
    samples = select_samples(spec)
    store = LocalStore(spec.object_store_url.removeprefix("file://"))
    file = spec.output_dir.with_suffix(".npy")
    read_pixels(store, samples.entries, 32, spec.image_limits, file, 2, lambda share: None)


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


def test_an_image_with_two_labels_is_named(project: Project) -> None:
    entries = crops(project)
    entries[3] = entries[3].model_copy(update={"labels": ["cat", "dog"]})
    failure = failure_of(project.spec(entries))
    assert failure.reason == "TRAINING_FAILED"
    assert "one label per image" in failure.message
    assert failure.metadata["image"] == entries[3].image


def test_images_without_labels_are_counted(project: Project) -> None:
    entries = crops(project)
    entries[0] = entries[0].model_copy(update={"labels": []})
    samples = select_samples(project.spec(entries))
    assert samples.ignored == 1
    assert len(samples.entries) == len(entries) - 1


def with_bytes(project: Project, entry: SpecEntry, encoded: bytes) -> SpecEntry:
    return project.put(entry.image.rsplit("/", 1)[1], encoded, entry.split, entry.labels)


@pytest.mark.parametrize(("keep", "reason"), [(0, "IMAGE_EMPTY"), (10, "IMAGE_UNREADABLE"), (4000, "IMAGE_TRUNCATED")])
def test_an_unreadable_image_is_named(project: Project, keep: int, reason: str) -> None:
    entries = crops(project)
    encoded = (project.store / entries[5].key).read_bytes()
    entries[5] = with_bytes(project, entries[5], encoded[:keep])
    failure = failure_of(project.spec(entries))
    assert failure.reason == "TRAINING_FAILED"
    assert failure.metadata == {"image": entries[5].image, "image_reason": reason}
    assert entries[5].image in failure.message


def test_a_missing_image_is_named(project: Project) -> None:
    entries = crops(project)
    (project.store / entries[2].key).unlink()
    failure = failure_of(project.spec(entries))
    assert failure.metadata == {"image": entries[2].image, "image_reason": "IMAGE_MISSING"}


def test_an_altered_image_is_named(project: Project) -> None:
    entries = crops(project)
    (project.store / entries[2].key).write_bytes((project.store / entries[3].key).read_bytes())
    failure = failure_of(project.spec(entries))
    assert failure.metadata == {"image": entries[2].image, "image_reason": "IMAGE_ALTERED"}


def test_the_program_reports_failures_as_messages(project: Project) -> None:
    entries = crops(project)
    (project.store / entries[2].key).unlink()
    run = run_engine(project.spec(entries), project.folder / "run")
    assert run.status == 1
    assert run.failure.metadata["image"] == entries[2].image
    assert run.progress[0].percent == 0


def test_a_wrong_specification_names_its_fields(project: Project) -> None:
    spec = project.spec(crops(project)).model_copy(update={"seed": -1, "parity_tolerance": "small"})
    run = run_engine(spec, project.folder / "run")
    assert run.status == 1
    assert {violation.field for violation in run.failure.violations} == {"seed", "parity_tolerance"}
