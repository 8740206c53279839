"""Which predictions of a deployment are kept for the review queue."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np

from sightsmith.api.events.v1.event_pb2 import PredictionSampled
from sightsmith.errors import FieldViolation
from sightsmith_inference.findings import Findings
from sightsmith_inference.models import ServableModel, Task

Reason = PredictionSampled.Reason
_LONGEST_KEEP_DAYS = 3650


@dataclass(frozen=True)
class Pick:
    """A prediction that was picked.

    Attributes:
        reason: why; of several reasons, the one that tells most.
        probability: how likely that was before chance had spoken, above 0 and 1 at most; 0 where it is not known.
    """

    reason: "Reason.ValueType"
    probability: float = 0.0


@dataclass(frozen=True)
class SamplingPolicy:
    """Which predictions of a deployment are kept; none by default. All numbers but the last are 0 to 1.

    Attributes:
        share: of all predictions, picked by chance.
        below_confidence: predictions whose best score is below may be picked.
        below_confidence_share: of these.
        threshold_margin: predictions with a score so near to its label's threshold may be picked.
        threshold_margin_share: of these.
        disagreement_share: of the images to which another alias was seen to give other labels.
        drift_share: of all predictions, to be compared with what the model learned from.
        keep_days: for how long what was picked is kept; 0 for as long as the settings say.
    """

    share: float = 0.0
    below_confidence: float = 0.0
    below_confidence_share: float = 1.0
    threshold_margin: float = 0.0
    threshold_margin_share: float = 1.0
    disagreement_share: float = 0.0
    drift_share: float = 0.0
    keep_days: float = 0.0

    @property
    def is_on(self) -> bool:
        """Whether it can pick anything."""
        return self.picks_by_answer or self.disagreement_share > 0 or self.drift_share > 0

    @property
    def picks_by_answer(self) -> bool:
        """Whether it can pick anything by what the model answers alone."""
        return (
            self.share > 0
            or self.below_confidence * self.below_confidence_share > 0
            or self.threshold_margin * self.threshold_margin_share > 0
        )

    def violations(self) -> list[FieldViolation]:
        """What is wrong with it."""
        # Not a number compares false with everything, and so is found too.
        found = [
            FieldViolation(f"deployment.sampling.{name}", f"must be from 0 to 1, not {value}")
            for name, value in self._shares()
            if not 0 <= value <= 1
        ]
        if not 0 <= self.keep_days <= _LONGEST_KEEP_DAYS:
            rule = f"must not be negative, and {_LONGEST_KEEP_DAYS} days at most"
            found.append(FieldViolation("deployment.sampling.keep_duration", rule))
        return found

    def pick(self, best: float, margin: float, chance: Callable[[], float]) -> Pick | None:
        """Picks a prediction or not, by what the model answered.

        Each reason that holds has its own throw of dice, so that the probability of being picked is known: one minus
        the product of those of not being picked. With a share of all predictions none is left out: the picked ones are
        a Poisson sample of all (J. Hájek, 1964), and estimates can be weighted by it.

        Args:
            best: its best score, 0 to 1.
            margin: how near a score is to its threshold, `margin_of`.
            chance: gives random numbers of at least 0 and below 1.
        """
        shares = {
            Reason.REASON_LOW_CONFIDENCE: self.below_confidence_share if best < self.below_confidence else 0.0,
            Reason.REASON_NEAR_THRESHOLD: self.threshold_margin_share if margin < self.threshold_margin else 0.0,
            Reason.REASON_RANDOM: self.share,
        }
        picked = [reason for reason, share in shares.items() if share and chance() < share]
        if not picked:
            return None
        probability = 1 - math.prod(1 - share for share in shares.values())
        return Pick(picked[0], probability if self.share else 0.0)

    def _shares(self) -> Iterator[tuple[str, float]]:
        return ((field.name, getattr(self, field.name)) for field in fields(self) if field.name != "keep_days")


OFF = SamplingPolicy()


def margin_of(found: Findings, model: ServableModel) -> float:
    """How near a score of an image is to its label's threshold, 0 to 1; infinite if there is nothing to compare.

    Of a model that gives an image one label, only the surest one counts; where it has no thresholds, the two surest are
    compared.
    """
    confidences = found.confidences
    if model.thresholds is not None and len(confidences):
        margins = np.abs(confidences - np.take(np.array(model.thresholds), found.labels))
        return float(margins[0] if model.task is Task.CLASSIFICATION else margins.min())
    return float(confidences[0] - confidences[1]) if len(confidences) > 1 else math.inf
