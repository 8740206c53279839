"""Features that come with a snapshot are taken where they are sound, and computed where they are not."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from obstore.store import LocalStore

from sightsmith_training.engine.backbones import load_backbone
from sightsmith_training.engine.catalogue import CATALOGUE
from sightsmith_training.engine.embeddings import BackboneCache, embed
from sightsmith_training.engine.specification import EmbeddingFile
from sightsmith_training.engine.stored_embeddings import StoredEmbeddings, record_type

from .conftest import Run, run_engine
from .photos import Project, crops

FEATURES = 4
NAMES = [hashlib.sha256(bytes([number])).hexdigest() for number in range(3)]
BACKBONE = CATALOGUE[0]


def write(project: Path, names: list[str], vectors: np.ndarray, backbone: str = "b") -> EmbeddingFile:
    records = np.empty(len(names), record_type(vectors.shape[1]))
    records["sha256"], records["vector"] = names, vectors
    project.mkdir(exist_ok=True)
    np.save(project / "file.npy", records)
    return EmbeddingFile(
        backbone=backbone, key="file.npy", sha256=hashlib.sha256((project / "file.npy").read_bytes()).hexdigest()
    )


def found(tmp_path: Path, file: EmbeddingFile, features: int = FEATURES) -> tuple[list[int], np.ndarray]:
    into = np.full((3, features), -1, np.float32)
    stored = StoredEmbeddings.fetch(LocalStore(tmp_path / "store", mkdir=True), file, features, tmp_path)
    return stored.find(NAMES, into).tolist(), into


def test_known_images_are_filled_in_and_the_others_named(tmp_path: Path) -> None:
    vectors = np.arange(8, dtype=np.float32).reshape(2, FEATURES)
    unknown, into = found(tmp_path, write(tmp_path / "store", [NAMES[2], NAMES[0]], vectors))
    assert unknown == [1]
    assert into.tolist() == [vectors[1].tolist(), [-1] * FEATURES, vectors[0].tolist()]


@pytest.mark.parametrize("number", [np.nan, np.inf, -0.5])
def test_what_cannot_be_a_feature_counts_as_unknown(tmp_path: Path, number: float) -> None:
    vectors = np.ones((3, FEATURES), np.float32)
    vectors[1, 2] = number
    assert found(tmp_path, write(tmp_path / "store", NAMES, vectors))[0] == [1]


def test_what_is_damaged_gone_or_of_another_shape_counts_as_unknown(tmp_path: Path) -> None:
    file = write(tmp_path / "store", NAMES, np.ones((3, FEATURES), np.float32))
    assert found(tmp_path, file, FEATURES + 1)[0] == [0, 1, 2]
    data = bytearray((tmp_path / "store/file.npy").read_bytes())
    data[-1] ^= 1
    (tmp_path / "store/file.npy").write_bytes(data)
    assert found(tmp_path, file)[0] == [0, 1, 2]
    (tmp_path / "store/file.npy").unlink()
    assert found(tmp_path, file)[0] == [0, 1, 2]


@pytest.fixture(scope="module")
def features(trained: Run, trained_project: Project) -> tuple[list[str], np.ndarray]:
    """What inference would say of the training images: the same graph in batches of another size."""
    from sightsmith_training.engine.reading import read_images

    entries = sorted((entry for entry in crops(trained_project) if entry.split == "train"), key=lambda e: e.sha256)
    store = LocalStore(trained_project.store)
    spec = trained_project.spec(entries)
    file = trained_project.folder / "p.npy"
    pixels = read_images(store, entries, 240, spec.image_limits, file, 2, 0, lambda share: None).pixels
    model = BackboneCache(store, "backbones").get(BACKBONE)
    singly = np.concatenate([embed(model, pixels[place : place + 1], 1, lambda share: None) for place in range(24)])
    return [entry.sha256 for entry in entries], singly


def train(project: Project, file: EmbeddingFile, name: str) -> Run:
    spec = project.spec(
        crops(project),
        embedding_files=[file],
        checkpoint_prefix=f"checkpoints/{name}",
        output_dir=project.folder / name,
    )
    return run_engine(spec, project.folder / f"{name}-run")


def test_a_model_is_the_same_within_rounding_whether_features_came_or_were_computed(
    trained: Run, trained_project: Project, features: tuple[list[str], np.ndarray]
) -> None:
    names, vectors = features
    # Half of them come with the snapshot; they were computed in other batches, so that sums differ in their last bits.
    file = write(trained_project.store, names[::2], vectors[::2], BACKBONE.content_name)
    first, again = (train(trained_project, file, name) for name in ("stored", "stored-again"))
    assert [found.sha256 for found in first.result.artifacts] == [found.sha256 for found in again.result.artifacts]
    assert first.result.chosen.backbones == trained.result.chosen.backbones
    for mine, plain in zip(first.result.predictions, trained.result.predictions, strict=True):
        assert mine.image == plain.image
        np.testing.assert_allclose(mine.scores, plain.scores, atol=1e-4)


def test_stored_features_are_used(trained_project: Project, features: tuple[list[str], np.ndarray]) -> None:
    names, vectors = features
    strange = np.roll(vectors, 7, axis=1)
    file = write(trained_project.store, names, strange, BACKBONE.content_name)
    train(trained_project, file, "strange")
    (kept,) = (trained_project.store / "checkpoints/strange").glob(f"features-{BACKBONE.content_name}-*.npz")
    np.testing.assert_array_equal(np.load(kept)["features"], strange)


def test_the_backbone_is_loaded_as_it_was_exported() -> None:
    assert load_backbone(BACKBONE).num_features == BACKBONE.features
