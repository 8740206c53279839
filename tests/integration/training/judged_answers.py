"""What middling models say of made-up images."""

from collections.abc import Sequence

import numpy as np

from sightsmith_training.engine.evaluation_result import DetectedBox, Evaluation, ImagePrediction
from sightsmith_training.engine.specification import SpecBox, Task
from sightsmith_training.evaluations.figures import evaluate_again
from sightsmith_training.evaluations.matching import Rules, match
from tests.integration.training.trained_model import Answers

LABELS = ("bee", "cat", "dog")
DATASET = "projects/shop/datasets/test"
_UNJUDGED = Evaluation(
    evaluated_on="test",
    accuracy=0,
    macro_precision=0,
    macro_recall=0,
    macro_f1=0,
    per_label=[],
    confusion_matrix=[],
)


def one_label(seed: int, images: int = 60, skill: float = 1.5, labels: Sequence[str] = LABELS) -> Answers:
    """Of a classifier of one label an image; what is there depends on nothing but the number of the image."""
    random = np.random.default_rng(seed)
    truth = np.arange(images) % len(labels)
    logits = random.normal(size=(images, len(labels))) + skill * np.eye(len(labels))[truth]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    answers = [_classified(index, [labels[truth[index]]], row.tolist()) for index, row in enumerate(scores)]
    return judged("classification", labels, answers)


def several_labels(seed: int, images: int = 60) -> Answers:
    """Of a classifier of any number of labels an image."""
    random = np.random.default_rng(seed)
    truth = random.random((images, len(LABELS))) < 0.4
    scores = np.clip(0.35 * truth + random.random(truth.shape) * 0.65, 0, 1)
    answers = [
        _classified(index, [LABELS[place] for place in np.flatnonzero(there)], row.tolist())
        for index, (there, row) in enumerate(zip(truth, scores, strict=True))
    ]
    return judged("multi_label_classification", LABELS, answers, (0.5, 0.4, 0.6))


def boxes(seed: int, images: int = 40, seen: float = 0.8) -> Answers:
    """Of a detector, for images of 640 × 480 pixels; what is there depends on nothing but the number of the image."""
    random = np.random.default_rng(seed)
    answers = [_detected(index, random, seen) for index in range(images)]
    return judged("detection", LABELS, answers, (0.5, 0.4, 0.6))


def judged(
    task: Task, labels: Sequence[str], images: Sequence[ImagePrediction], thresholds: Sequence[float] = ()
) -> Answers:
    """The answers with the figures that follow from them, as a training makes them."""
    evaluation = evaluate_again(_UNJUDGED, match(Rules.of(task, labels, thresholds), images))
    return Answers(task, labels, images, thresholds, evaluation)


def _classified(index: int, truth: list[str], scores: list[float]) -> ImagePrediction:
    return ImagePrediction(
        image=f"{DATASET}/images/i-{index:05}",
        source=f"{index}.jpg",
        true_labels=truth,
        predicted_labels=[],
        confidence=0,
        scores=scores,
        width=64,
        height=48,
    )


def _detected(index: int, random: np.random.Generator, seen: float) -> ImagePrediction:
    truth = _made_boxes(np.random.default_rng(index), index % 5)
    found = [_shaken(box, random) for box in truth if random.random() < seen]
    invented = [
        DetectedBox(**box.model_dump(), confidence=random.random() ** 2) for box in _made_boxes(random, index % 3)
    ]
    return ImagePrediction(
        image=f"{DATASET}/images/i-{index:05}",
        source=f"{index}.jpg",
        true_labels=sorted({box.label for box in truth}),
        predicted_labels=[],
        confidence=0,
        scores=[],
        width=640,
        height=480,
        true_boxes=truth,
        detections=sorted([*found, *invented], key=lambda box: -box.confidence),
    )


def _made_boxes(random: np.random.Generator, count: int) -> list[SpecBox]:
    sides = random.integers((10, 10, 20, 20), (400, 300, 200, 150), (count, 4)).tolist()
    return [
        SpecBox(label=LABELS[random.integers(len(LABELS))], left=left, top=top, width=width, height=height)
        for left, top, width, height in sides
    ]


def _shaken(box: SpecBox, random: np.random.Generator) -> DetectedBox:
    moved = dict(
        zip(("left", "top"), (np.array([box.left, box.top]) + random.integers(-9, 10, 2)).tolist(), strict=True)
    )
    label = box.label if random.random() < 0.9 else LABELS[random.integers(len(LABELS))]
    return DetectedBox(**{**box.model_dump(), **moved, "label": label}, confidence=0.3 + 0.7 * random.random())
