"""From what a model says to what is answered."""

from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
import numpy.typing as npt

from sightsmith.errors import FieldViolation
from sightsmith_inference.findings import Findings
from sightsmith_inference.models import ServableModel, Task

# Of wanted labels that no model has, so many are told, and so much of each.
_SHOWN_LABELS, _SHOWN_LETTERS = 10, 80


@dataclass(frozen=True)
class Box:
    """A rectangle in shares of the sides of the upright image, 0 to 1."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Prediction:
    """A label that was recognised, how sure the model is (0 to 1), and where; None for the whole image."""

    label: str
    confidence: float
    box: Box | None = None


@dataclass(frozen=True)
class Wish:
    """Which labels are wanted.

    Attributes:
        min_confidence: labels below are left out; None for the model's own rule.
        max_results: how many labels, or boxes, at most; 0 for no limit.
        labels: all others are left out of the answer; empty for none.
    """

    min_confidence: float | None = None
    max_results: int = 0
    labels: tuple[str, ...] = ()

    @cached_property
    def wanted(self) -> frozenset[str]:
        """The labels, to look one up in."""
        return frozenset(self.labels)

    def violations(self) -> list[FieldViolation]:
        """What is wrong with it."""
        found = []
        # Not a number compares false with everything, and so is found too.
        if self.min_confidence is not None and not 0 <= self.min_confidence <= 1:
            found.append(FieldViolation("min_confidence", f"must be from 0 to 1, not {self.min_confidence}"))
        if self.max_results < 0:
            found.append(FieldViolation("max_results", f"must not be negative, not {self.max_results}"))
        return found

    def unknown_labels(self, model: ServableModel) -> list[FieldViolation]:
        """Which labels are wanted that a model does not have; the first few are named."""
        known = frozenset(model.labels)
        unknown = ((index, label) for index, label in enumerate(self.labels) if label not in known)
        return [
            FieldViolation(f"labels[{index}]", f"must be a label of {model.model}, not {label[:_SHOWN_LETTERS]!r}")
            for index, label in islice(unknown, _SHOWN_LABELS)
        ]


def choose(findings: Findings, model: ServableModel, wish: Wish) -> tuple[Prediction, ...]:
    """Picks what is wanted of the findings of one image, the most likely first.

    By its own rule, a model of one label an image answers with the most likely one, if it reaches its threshold, and
    any other with everything that reaches its threshold. Wanted labels are picked from that answer: they do not change
    it.
    """
    is_wanted = findings.confidences >= _least(findings, model, wish)
    if wish.min_confidence is None and model.task is Task.CLASSIFICATION:
        is_wanted[1:] = False
    if wish.labels:
        wanted = [position for position, label in enumerate(model.labels) if label in wish.wanted]
        is_wanted &= np.isin(findings.labels, wanted)
    return _predictions(findings, np.flatnonzero(is_wanted)[: wish.max_results or None], model)


def _least(findings: Findings, model: ServableModel, wish: Wish) -> npt.NDArray[np.float64] | np.float64:
    """In double precision: single precision would round what is asked for."""
    if wish.min_confidence is not None:
        return np.float64(wish.min_confidence)
    if model.thresholds is None:
        return np.float64(0)
    thresholds: npt.NDArray[np.float64] = np.array(model.thresholds, np.float64)
    return np.take(thresholds, findings.labels)


def _predictions(findings: Findings, chosen: npt.NDArray[np.intp], model: ServableModel) -> tuple[Prediction, ...]:
    labels = [model.labels[position] for position in findings.labels[chosen]]
    confidences = [min(max(confidence, 0.0), 1.0) for confidence in findings.confidences[chosen].tolist()]
    if findings.boxes is None:
        return tuple(map(Prediction, labels, confidences))
    boxes = [_box(*sides) for sides in findings.boxes[chosen].tolist()]
    return tuple(map(Prediction, labels, confidences, boxes))


def _box(left: float, top: float, right: float, bottom: float) -> Box:
    return Box(left, top, right - left, bottom - top)
