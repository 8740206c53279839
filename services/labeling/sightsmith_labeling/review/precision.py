"""How often a model's answers in production are right, estimated from the reviewed part of a sample."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sightsmith_labeling.review.item import Reason

_Z = 1.959963984540054  # 97.5 % of a normal distribution are below it: an interval of 95 %.


@dataclass(frozen=True)
class SampledAnswer:
    """A prediction that was sampled.

    Attributes:
        reason: why.
        weight: for how many predictions it stands; 0 if that is not known.
        answered: the labels that the model answered with.
        truth: those that people saw; None while they have not settled it.
    """

    reason: Reason
    weight: float
    answered: frozenset[str]
    truth: frozenset[str] | None

    @property
    def is_corrected(self) -> bool:
        """Whether people saw other labels."""
        return self.truth is not None and self.truth != self.answered


@dataclass(frozen=True)
class Stratum:
    """What was sampled for one reason.

    Attributes:
        sampled: how many predictions.
        reviewed: of these, settled ones.
        corrected: of these, those to which people gave other labels.
        population: for how many predictions all of them stand; 0 if that is not known.
    """

    reason: Reason
    sampled: int
    reviewed: int
    corrected: int
    population: float


@dataclass(frozen=True)
class Precision:
    """A share with its confidence interval of 95 %, and how many draws of a plain random sample would tell as much."""

    value: float
    lower: float
    upper: float
    effective_count: float


@dataclass(frozen=True)
class PrecisionEstimate:
    """How often answers are right.

    Attributes:
        strata: by reason.
        precision: of the labels that were answered, the share that is right; None while nothing can be told.
        covered: share of the population that the reviewed strata stand for, 0 to 1.
    """

    strata: Sequence[Stratum]
    precision: Precision | None
    covered: float


def estimate(answers: Iterable[SampledAnswer]) -> PrecisionEstimate:
    """Estimates the precision of all answers from those that were sampled.

    Each answer counts by the inverse of the probability with which it was picked (D. G. Horvitz and D. J. Thompson,
    1952; the ratio of two such sums is J. Hájek's estimator, 1971). People do not get round to everything, and may look
    at what was picked for one reason first: what they have reviewed of a reason stands for all that was picked for it.
    What has no known probability does not count.
    """
    by_reason: Mapping[Reason, list[SampledAnswer]] = defaultdict(list)
    for answer in answers:
        by_reason[answer.reason].append(answer)
    strata = [_stratum(reason, by_reason[reason]) for reason in Reason if by_reason[reason]]
    counted: list[tuple[float, SampledAnswer]] = []
    for stratum in strata:
        counted += _standing_for(stratum.population, by_reason[stratum.reason])
    population = sum(stratum.population for stratum in strata)
    covered = sum(weight for weight, _ in counted) / population if population else 0.0
    return PrecisionEstimate(strata, _precision(counted), min(covered, 1.0))


def wilson_interval(share: float, count: float) -> tuple[float, float]:
    """An interval of 95 % for a share of a random sample (E. B. Wilson, 1927), which keeps within 0 and 1.

    Args:
        share: that was seen, 0 to 1.
        count: of draws, above 0; of a weighted sample, the effective one (E. L. Korn and B. I. Graubard, 1998).
    """
    spread = _Z * math.sqrt(share * (1 - share) / count + (_Z / (2 * count)) ** 2)
    middle, scale = share + _Z**2 / (2 * count), 1 + _Z**2 / count
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def _stratum(reason: Reason, answers: Sequence[SampledAnswer]) -> Stratum:
    return Stratum(
        reason=reason,
        sampled=len(answers),
        reviewed=sum(answer.truth is not None for answer in answers),
        corrected=sum(answer.is_corrected for answer in answers),
        population=sum(answer.weight for answer in answers),
    )


def _standing_for(population: float, answers: Iterable[SampledAnswer]) -> list[tuple[float, SampledAnswer]]:
    """The reviewed ones with weights that sum up to the population that all of them stand for."""
    reviewed = [answer for answer in answers if answer.truth is not None and answer.weight > 0]
    total = sum(answer.weight for answer in reviewed)
    return [(answer.weight * population / total, answer) for answer in reviewed]


def _precision(counted: Iterable[tuple[float, SampledAnswer]]) -> Precision | None:
    """The share of right labels; the effective count is L. Kish's (1965), with an image for a draw."""
    right = given = squares = 0.0
    for weight, answer in counted:
        right += weight * len(answer.answered & (answer.truth or frozenset()))
        given += weight * len(answer.answered)
        squares += (weight * len(answer.answered)) ** 2
    if not given:
        return None
    value, effective = min(right / given, 1.0), given**2 / squares
    return Precision(value, *wilson_interval(value, effective), effective)
