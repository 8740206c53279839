import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import obstore
import pytest
from obstore.store import LocalStore
from PIL import Image

from sightsmith.images import DEFAULT_LIMITS, decode_square
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.reading import ReadImages, new_pixels, read_images
from sightsmith_training.engine.specification import SpecEntry

SIDE = 16


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store", mkdir=True)


def jpeg(seed: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def stored(store: LocalStore, images: Sequence[bytes]) -> list[SpecEntry]:
    entries = []
    for number, data in enumerate(images):
        obstore.put(store, f"i{number}", data)
        digest = hashlib.sha256(data).hexdigest()
        entries.append(SpecEntry(image=f"images/{number}", sha256=digest, key=f"i{number}", split="train"))
    return entries


def read(store: LocalStore, entries: list[SpecEntry], folder: Path, tolerated: float) -> ReadImages:
    shares: list[float] = []
    found = read_images(store, entries, SIDE, DEFAULT_LIMITS, folder / "pixels.npy", 2, tolerated, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    return found


def test_images_come_in_their_order(store: LocalStore, tmp_path: Path) -> None:
    images = [jpeg(seed) for seed in range(7)]
    entries = stored(store, images)
    found = read(store, entries, tmp_path, 0)
    assert found.entries == entries
    assert found.unusable == []
    assert np.array_equal(found.pixels, [decode_square(data, SIDE) for data in images])


def test_what_cannot_be_used_is_left_out_and_named(store: LocalStore, tmp_path: Path) -> None:
    images = [jpeg(seed) for seed in range(10)]
    entries = stored(store, [*images[:4], images[4][:-200], *images[5:]])
    entries[2] = entries[2].model_copy(update={"key": "nowhere"})
    found = read(store, entries, tmp_path, 0.2)
    assert [(image.entry.image, image.reason) for image in found.unusable] == [
        ("images/2", "IMAGE_MISSING"),
        ("images/4", "IMAGE_TRUNCATED"),
    ]
    kept = [0, 1, 3, 5, 6, 7, 8, 9]
    assert found.entries == [entries[number] for number in kept]
    assert np.array_equal(found.pixels, [decode_square(images[number], SIDE) for number in kept])


def test_too_many_end_the_training(store: LocalStore, tmp_path: Path) -> None:
    entries = stored(store, [jpeg(seed) for seed in range(10)])
    changed = [entry.model_copy(update={"sha256": "0" * 64}) for entry in entries[:3]]
    with pytest.raises(TrainingError, match="more than 20% of 10 images cannot be used") as caught:
        read(store, [*changed, *entries[3:]], tmp_path, 0.2)
    failure = caught.value.failure
    assert failure.reason == "TOO_MANY_UNUSABLE_IMAGES"
    assert [violation.field for violation in failure.violations] == ["images/0", "images/1", "images/2"]
    assert failure.metadata["unusable"] == "3"


def test_the_disk_s_space_for_pixels_is_taken_at_once(tmp_path: Path) -> None:
    """Otherwise a full disk ends the process by a signal, at some later write into memory."""
    pixels = new_pixels(tmp_path / "pixels.npy", (5, 100, 100, 3))
    status = (tmp_path / "pixels.npy").stat()
    assert status.st_blocks * 512 >= status.st_size > pixels.nbytes == 150_000
    assert not pixels.any()
