"""What other thresholds would give, and how far confidences can be taken at their word."""

from dataclasses import dataclass

from sightsmith_training.engine.judging.curves import CurvePoint, precision_recall_curve, threshold_curve
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.engine.judging.reliability import (
    Reliability,
    ReliabilityBin,
    classification_reliability,
    detection_reliability,
)
from sightsmith_training.evaluations.matching import Matches


@dataclass(frozen=True)
class LabelCurves:
    """Of one label.

    Attributes:
        label: its name.
        precision_recall: the lowest recall first; empty where nothing is found at any threshold.
        by_threshold: the lowest threshold first.
    """

    label: str
    precision_recall: list[CurvePoint]
    by_threshold: list[CurvePoint]


@dataclass(frozen=True)
class Curves:
    """Of an evaluation: the labels in the order of the model, and ten bins of confidence."""

    labels: list[LabelCurves]
    reliability: list[ReliabilityBin]


def curves_of(matches: Matches) -> Curves:
    """Draws all curves."""
    return Curves(
        labels=[
            LabelCurves(label, precision_recall_curve(ranking), threshold_curve(ranking))
            for label, ranking in zip(matches.labels, matches.rankings, strict=True)
        ],
        reliability=_reliability(matches).bins,
    )


def _reliability(matches: Matches) -> Reliability:
    if isinstance(matches, DetectionMatches):
        return detection_reliability(matches)
    return classification_reliability(matches)
