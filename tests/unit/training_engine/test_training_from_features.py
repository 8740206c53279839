"""A quick training of images whose features all came with the snapshot looks at a few of the images alone."""

import hashlib

import numpy as np
import pytest
from obstore.store import LocalStore

from sightsmith.images import decode_square
from sightsmith_training.engine.backbone_choice import EMBEDDING_BACKBONE
from sightsmith_training.engine.catalogue import IMAGE_SIDE
from sightsmith_training.engine.contract import TrainingResult
from sightsmith_training.engine.embeddings import BackboneCache, embed
from sightsmith_training.engine.specification import EmbeddingFile, SpecEntry, TrainingOptions
from sightsmith_training.engine.stored_embeddings import record_type

from .conftest import Run, run_engine
from .photos import Project, crops


@pytest.fixture(scope="module")
def entries(trained: Run, trained_project: Project) -> list[SpecEntry]:
    """Images in a store in which the backbones lie exported."""
    return crops(trained_project)


@pytest.fixture(scope="module")
def vectors(trained_project: Project, entries: list[SpecEntry]) -> np.ndarray:
    """What inference would say of the images: the same graph in batches of another size."""
    model = BackboneCache(LocalStore(trained_project.store), "backbones").get(EMBEDDING_BACKBONE)
    pixels = [decode_square((trained_project.store / entry.key).read_bytes(), IMAGE_SIDE) for entry in entries]
    return np.concatenate([embed(model, image[None], 1, lambda share: None) for image in pixels])


def stored(project: Project, entries: list[SpecEntry], vectors: np.ndarray) -> EmbeddingFile:
    records = np.empty(len(entries), record_type(vectors.shape[1]))
    records["sha256"], records["vector"] = [entry.sha256 for entry in entries], vectors
    np.save(project.store / "embeddings.npy", records)
    digest = hashlib.sha256((project.store / "embeddings.npy").read_bytes()).hexdigest()
    return EmbeddingFile(backbone=EMBEDDING_BACKBONE.content_name, key="embeddings.npy", sha256=digest)


def train(project: Project, entries: list[SpecEntry], files: list[EmbeddingFile], name: str) -> Run:
    spec = project.spec(
        entries,
        embedding_files=files,
        options=TrainingOptions(effort="fast"),
        checkpoint_prefix=f"checkpoints/{name}",
        output_dir=project.folder / name,
    )
    return run_engine(spec, project.folder / f"{name}-run")


def gone(entry: SpecEntry) -> SpecEntry:
    return entry.model_copy(update={"key": "gone"})


@pytest.fixture(scope="module")
def plain(trained_project: Project, entries: list[SpecEntry]) -> TrainingResult:
    """The same training without stored features."""
    return train(trained_project, entries, [], "plain").result


def assert_same_model(found: TrainingResult, plain: TrainingResult) -> None:
    assert [candidate.backbones for candidate in found.candidates] == [[EMBEDDING_BACKBONE.name]] * 4
    assert found.chosen.strength == plain.chosen.strength
    for mine, other in zip(found.predictions, plain.predictions, strict=True):
        assert (mine.image, mine.predicted_labels) == (other.image, other.predicted_labels)
        np.testing.assert_allclose(mine.scores, other.scores, atol=1e-4)


def test_training_images_are_not_read(
    trained_project: Project, entries: list[SpecEntry], vectors: np.ndarray, plain: TrainingResult
) -> None:
    file = stored(trained_project, entries, vectors)
    unreadable = [gone(entry) if entry.split == "train" else entry for entry in entries]
    run = train(trained_project, unreadable, [file], "from-features")
    assert_same_model(run.result, plain)
    assert run.result.evaluation.evaluated_on == "test"
    assert run.result.evaluation.macro_f1 == pytest.approx(plain.evaluation.macro_f1)
    assert run.result.parity.images == 12
    assert run.result.parity.label_agreement == 1
    percents = [message.percent for message in run.progress]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert "embedding" not in run.result.phase_seconds


def test_without_test_images_training_images_are_compared(
    trained_project: Project, entries: list[SpecEntry], vectors: np.ndarray
) -> None:
    training = [entry for entry in entries if entry.split == "train"]
    run = train(trained_project, training, [stored(trained_project, entries, vectors)], "no-test")
    assert run.result.evaluation.evaluated_on == "cross_validation"
    assert len(run.result.predictions) == 24
    assert run.result.parity.images == 16
    assert "embedding" not in run.result.phase_seconds


def test_features_of_other_pictures_are_found_out(
    trained_project: Project, entries: list[SpecEntry], vectors: np.ndarray, plain: TrainingResult
) -> None:
    file = stored(trained_project, entries, np.roll(vectors, 7, axis=1))
    run = train(trained_project, entries, [file], "strange-features")
    assert "stored embeddings are not what the exported model computes" in run.errors
    # The TorchScript file, traced a second time in one process, has other names inside.
    assert run.result.artifacts[0] == plain.artifacts[0]
    assert run.result.predictions == plain.predictions


def test_where_an_image_of_the_sample_is_gone_all_are_read(
    trained_project: Project, entries: list[SpecEntry], vectors: np.ndarray
) -> None:
    file = stored(trained_project, entries, vectors)
    last = len(entries) - 1
    assert entries[last].split == "test"
    run = train(trained_project, [*entries[:last], gone(entries[last])], [file], "gone")
    assert [image.field for image in run.result.unusable_images] == [entries[last].image]
    assert run.result.parity.images == 11
