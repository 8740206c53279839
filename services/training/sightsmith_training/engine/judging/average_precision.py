"""COCO's average precision: the mean of the precision at 101 levels of recall."""

import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.judging.arrays import Floats, Singles

_RECALLS = np.linspace(0, 1, 101)
_NEARLY_NOTHING = np.spacing(1)  # pycocotools divides by a little more than the count; so do we, to agree with it.


def average_precision(true_positives: Floats | Singles, false_positives: Floats | Singles, positives: Floats) -> Floats:
    """Average precision of one label under several conditions, as `COCOeval.accumulate` of pycocotools has it.

    Args:
        true_positives: shape [conditions, detections], the surest detection first; how often each counts as right.
            Whole numbers, not only 0 and 1, since an image can count several times.
        false_positives: the same shape; how often it counts as wrong.
        positives: shape [conditions]; how many labelled boxes there are.

    Returns:
        Shape [conditions]; NaN where there are no labelled boxes.
    """
    found = true_positives.cumsum(axis=1)
    precision = found / (found + false_positives.cumsum(axis=1) + _NEARLY_NOTHING)
    best_from_here = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    reached = np.pad(best_from_here, ((0, 0), (0, 1)))
    at_recalls = np.take_along_axis(reached, _first_at_least(found, _needed(positives)), axis=1)
    return np.where(positives > 0, at_recalls.mean(axis=1), np.nan)


def _needed(positives: Floats) -> Floats:
    """How many boxes must be found for each level of recall; shape [conditions, recalls]."""
    total = np.maximum(positives, 1)[:, None]
    needed = np.ceil(_RECALLS * total - 1e-9)
    # 0.35 as a step of 0.01 is a little more than 35 / 100: where it is, pycocotools asks for one box more.
    return needed + (needed / total < _RECALLS)


def _first_at_least(rising: Floats | Singles, wanted: Floats) -> npt.NDArray[np.intp]:
    """By row, the first column whose number is at least each wanted one, or the number of columns."""
    rows, columns = rising.shape
    # All rows are searched at once, each lifted above the one before it.
    lift = np.arange(rows)[:, None] * (max(rising.max(initial=0.0), wanted.max(initial=0.0)) + 1)
    flat = np.searchsorted((rising + lift).ravel(), (wanted + lift).ravel(), side="left").reshape(wanted.shape)
    return np.asarray(np.clip(flat - np.arange(rows)[:, None] * columns, 0, columns))
