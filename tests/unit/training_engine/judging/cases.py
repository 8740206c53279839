"""Labelled images and answers to judge, made up."""

from collections.abc import Sequence

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from sightsmith_training.engine.judging.answers import Detections, LabelledImage
from sightsmith_training.engine.judging.detection_matches import DetectionMatches, match_detections
from sightsmith_training.engine.judging.matches import ClassificationMatches, match_labels

of_any_case = settings(max_examples=30, deadline=None)
"""Without a time limit, for machines that are busy."""

NO_LABELS = np.empty(0, dtype=np.intp)
NO_BOXES = np.empty((0, 4))


def names(count: int) -> list[str]:
    return [f"label {label}" for label in range(count)]


def classified(
    truth: Sequence[Sequence[int]], scores, thresholds=None, *, single_label: bool = False
) -> ClassificationMatches:
    """Matches of a classifier; `truth` lists the labels of each image; the thresholds are 0.5 unless given."""
    scores = np.asarray(scores, dtype=np.float64)
    images = [
        LabelledImage(f"image {index:04}", "", 64, 64, np.array(labels, dtype=np.intp), NO_BOXES, NO_LABELS)
        for index, labels in enumerate(truth)
    ]
    labels = scores.shape[1]
    thresholds = np.full(labels, 0.5) if thresholds is None else np.asarray(thresholds)
    return match_labels(images, names(labels), scores, thresholds, single_label=single_label)


def boxed(index: int, boxes, labels) -> LabelledImage:
    return LabelledImage(
        f"image {index:04}",
        "",
        640,
        480,
        NO_LABELS,
        np.reshape(boxes, (-1, 4)).astype(float),
        np.array(labels, np.intp),
    )


def detected(boxes, labels, confidences) -> Detections:
    return Detections(
        np.reshape(boxes, (-1, 4)).astype(float), np.array(labels, np.intp), np.array(confidences, np.float64)
    )


def perfect(image: LabelledImage) -> Detections:
    return Detections(image.boxes, image.box_labels, np.full(len(image.boxes), 0.9))


def match(images, answers, labels: int = 3, threshold: float = 0.5, iou: float = 0.5) -> DetectionMatches:
    return match_detections(images, names(labels), answers, np.full(labels, threshold), iou)


def scenes(seed: int, images: int, labels: int, steps: int = 20) -> tuple[list[LabelledImage], list[Detections]]:
    """Images with up to eight boxes each, of every size, and what a middling detector says of them.

    Pixels are whole, so that every library computes the same overlaps; confidences are multiples of `1 / steps`, so
    that many are equal. Some images and some answers are empty.
    """
    random = np.random.default_rng(seed)
    pairs = [_scene(random, index, labels, steps) for index in range(images)]
    return [image for image, _ in pairs], [answer for _, answer in pairs]


def _scene(random: np.random.Generator, index: int, labels: int, steps: int) -> tuple[LabelledImage, Detections]:
    truths = _boxes(random, random.integers(0, 9))
    truth_labels = random.integers(0, labels, len(truths))
    seen = random.random(len(truths)) < 0.8
    shaken = truths[seen] + random.integers(-6, 7, (seen.sum(), 4))
    twice = shaken[: len(shaken) // 3] + random.integers(-3, 4, (len(shaken) // 3, 4))
    invented = _boxes(random, random.integers(0, 6))
    boxes = np.concatenate((shaken, twice, invented))
    kept = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    said = np.concatenate(
        (truth_labels[seen], truth_labels[seen][: len(twice)], random.integers(0, labels, len(invented)))
    )
    said = np.where(random.random(len(said)) < 0.9, said, random.integers(0, labels, len(said)))
    confidences = np.round(random.random(len(boxes)) * steps) / steps
    order = np.argsort(-confidences[kept], kind="stable")
    answer = detected(boxes[kept][order], said[kept][order], confidences[kept][order])
    return boxed(index, truths, truth_labels), answer


def _boxes(random: np.random.Generator, count: int) -> np.ndarray:
    corners = random.integers(0, 400, (count, 2))
    return np.concatenate((corners, corners + random.integers(6, 160, (count, 2))), axis=1)


@st.composite
def scored_labels(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Scores and truth of one label, with many equal scores; each of shape [predictions]."""
    pairs = draw(st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=30))
    return np.array([score / 12 for score, _ in pairs]), np.array([truth for _, truth in pairs])


@st.composite
def score_tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Scores and truth of several labels; each of shape [images, labels]."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(1, 25)), draw(st.integers(2, 5))  # scikit-learn takes one column for two labels.
    return np.round(random.random(shape), draw(st.integers(1, 3))), random.random(shape) < random.random()
