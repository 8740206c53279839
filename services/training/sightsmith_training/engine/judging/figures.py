"""Averages over labels, common to classifiers and detectors."""

from dataclasses import dataclass

import numpy as np

from sightsmith_training.engine.judging.arrays import Floats
from sightsmith_training.engine.judging.counts import Counts, mean_of_present


@dataclass(frozen=True)
class Averages:
    """One figure for all labels together. All are shares, 0 to 1."""

    precision: float
    recall: float
    f1: float


def macro_averages(counts: Counts) -> Averages:
    """Means over the labels that have something to be found; `counts` has shape [labels]."""
    present = counts.positives > 0
    return Averages(
        precision=float(mean_of_present(counts.precision, present)),
        recall=float(mean_of_present(counts.recall, present)),
        f1=float(mean_of_present(counts.f1, present)),
    )


def micro_averages(counts: Counts) -> Averages:
    """Figures of all predictions together; `counts` has shape [labels]."""
    total = counts.total(axis=0)
    return Averages(precision=float(total.precision), recall=float(total.recall), f1=float(total.f1))


def mean_or_none(values: Floats) -> float | None:
    """Mean of the values that are not NaN; None where there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None
