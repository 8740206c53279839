"""A whole training of few, odd and unevenly labelled pictures."""

import io

import numpy as np
import pytest
from PIL import Image

from sightsmith_training.engine.contract import TrainingResult
from sightsmith_training.engine.specification import SpecEntry, TrainingOptions
from sightsmith_training.engine.training import train

from .conftest import Run
from .photos import Project, pictures

# How many training images each label has; of "coffee" there are too few.
TAIL = {"temple": 10, "flower": 4, "cat": 3, "coffee": 1}


def _encoded(pixels: np.ndarray, number: int) -> bytes:
    """In one of the ways that come along, and as small or as large."""
    image = Image.fromarray(pixels)
    sizes = [(64, 64), (90, 300)]
    kinds = ["RGB", "L", "CMYK", "RGBA", "I;16", "P"]
    # The largest once a label: it takes the longest.
    size, kind = ((4096, 4096), "RGB") if number == 2 else (sizes[number % 2], kinds[number % len(kinds)])
    image = image.resize(size)
    buffer = io.BytesIO()
    if kind == "I;16":
        Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(buffer, "PNG")
    elif kind == "RGBA":
        image.putalpha(image.convert("L"))
        image.save(buffer, "PNG")
    else:
        image.convert(kind).save(buffer, "JPEG" if kind in ("RGB", "CMYK", "L") else "PNG")
    return buffer.getvalue()


def _entries(project: Project) -> list[SpecEntry]:
    random = np.random.default_rng(3)
    entries = []
    for label, picture in pictures().items():
        for number in range(TAIL[label] + 2):
            top, left = (int(random.integers(0, size - 200)) for size in picture.shape[:2])
            encoded = _encoded(picture[top : top + 200, left : left + 200], number)
            entries.append(project.put(f"odd-{label}-{number}", encoded, "test" if number < 2 else "train", [label]))
    return entries


@pytest.fixture(scope="module")
def result(trained: Run, trained_project: Project) -> TrainingResult:
    """In a store in which the backbones lie exported."""
    spec = trained_project.spec(
        _entries(trained_project),
        output_dir=trained_project.folder / "odd",
        checkpoint_prefix="checkpoints/odd",
        options=TrainingOptions(effort="fast", leave_out_rare_labels=True),
    )
    return train(spec, lambda progress: None)


def test_pictures_of_all_kinds_and_sizes_are_learned(result: TrainingResult) -> None:
    assert result.unusable_images == []
    assert (result.training_images, result.test_images) == (17, 6)
    assert result.evaluation.accuracy >= 0.5
    assert max(result.parity.onnx, result.parity.torchscript) <= 1e-4


def test_the_label_of_one_image_is_left_out_and_named(result: TrainingResult) -> None:
    assert result.labels == ["cat", "flower", "temple"]
    assert result.left_out_labels == ["coffee"]
    texts = [advice.text for advice in result.evaluation.advice]
    assert any(text.startswith("Labels with fewer than 3 training images were left out: 'coffee'") for text in texts)
