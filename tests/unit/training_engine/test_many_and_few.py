"""Whole trainings of very many labels, and of as few images as are allowed, by a backbone that only blurs."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from torch import nn

from sightsmith_training.engine import classifier_training, embeddings
from sightsmith_training.engine.backbone_choice import EMBEDDING_BACKBONE
from sightsmith_training.engine.catalogue import IMAGE_SIDE
from sightsmith_training.engine.contract import TrainingResult
from sightsmith_training.engine.specification import SpecEntry
from sightsmith_training.engine.training import train

from .photos import Project

_PLACES = 4  # A side of what the backbone sees.


@pytest.fixture(autouse=True)
def blurring(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = replace(EMBEDDING_BACKBONE, name="blur", features=3 * _PLACES**2)
    monkeypatch.setattr(classifier_training, "backbones_to_try", lambda *wish: [backbone])
    for module in (classifier_training, embeddings):
        monkeypatch.setattr(
            module, "load_backbone", lambda _: nn.Sequential(nn.AvgPool2d(IMAGE_SIDE // _PLACES), nn.Flatten())
        )


def _train(project: Project, labels: int, train_images: int, test_images: int) -> TrainingResult:
    """Each label is a pattern of colours, and each picture of it has some noise."""
    random = np.random.default_rng(0)
    entries: list[SpecEntry] = []
    for label in range(labels):
        pattern = random.integers(40, 216, (_PLACES, _PLACES, 3))
        for number in range(train_images + test_images):
            noisy = (pattern + random.integers(-30, 31, pattern.shape)).astype(np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(noisy).save(buffer, "PNG")
            split = "train" if number < train_images else "test"
            entries.append(project.put(f"{label}-{number}", buffer.getvalue(), split, [f"label {label:03}"]))
    return train(project.spec(entries, threads=2), lambda progress: None)


def test_250_labels_are_learned_and_judged(project: Project) -> None:
    result = _train(project, 250, 3, 1)
    assert (len(result.labels), result.training_images, result.test_images) == (250, 750, 250)
    assert result.evaluation.accuracy > 0.9
    assert [label.images for label in result.evaluation.per_label] == [1] * 250
    assert np.shape(result.evaluation.confusion_matrix) == (251, 251)  # With those that get no answer.
    assert max(result.parity.onnx, result.parity.torchscript) <= 1e-4
    assert result.parity.label_agreement == 1


def test_six_images_of_two_labels_are_learned_and_judge_themselves(project: Project) -> None:
    result = _train(project, 2, 3, 0)
    assert result.training_images == 6
    assert result.evaluation.evaluated_on == "cross_validation"
    assert sorted(label.images for label in result.evaluation.per_label) == [3, 3]
    assert result.evaluation.macro_f1 > 0.6
