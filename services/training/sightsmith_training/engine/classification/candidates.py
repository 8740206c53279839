"""What was tried, how it did, and which of it is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.classification.heads import activate
from sightsmith_training.engine.classification.scores import log_loss, macro_f1, standard_error_of_gain
from sightsmith_training.engine.classification.truth import Activation, Logits, Rows, Truth
from sightsmith_training.engine.specification import Preference

Kind = Literal["probe", "fine_tuning"]

_SLACK: Mapping[Preference, float] = {"speed": 1.0, "balanced": 0.5, "accuracy": 0.0}
"""How many standard errors of score a cheaper candidate may lack."""

_CHANCE = 0.05
"""Of replacing a probe by fine-tunings that are all just as good."""


@dataclass(frozen=True)
class Trial:
    """A candidate and how it did on images that it had not learned from.

    Attributes:
        kind: frozen networks with a head, or a network that learned as a whole.
        backbones: names, in the order of the head's features.
        parameters: of the training, by name.
        activation: behind the logits.
        logits: shape [repetitions, judged, labels].
        judged: positions of the images that the logits are of.
        truth: of those images, shape [judged, labels].
        seconds: wall time of the trial.
        milliseconds: for one image on an ordinary core, when the model is used.
        dropped: why it was not kept; empty for the one that was.
    """

    kind: Kind
    backbones: tuple[str, ...]
    parameters: Mapping[str, float]
    activation: Activation
    logits: npt.NDArray[np.float64]
    judged: Rows
    truth: Truth
    seconds: float
    milliseconds: float
    dropped: str = ""
    scores: list[float] = field(init=False)

    def __post_init__(self) -> None:
        """Computes the macro-F1 of each repetition once: every choice asks for it."""
        scores = [macro_f1(activate(logits, self.activation), self.truth, self.activation) for logits in self.logits]
        object.__setattr__(self, "scores", scores)

    @property
    def name(self) -> str:
        """Says what it is, for people."""
        parameters = ", ".join(f"{name} {value:g}" for name, value in self.parameters.items())
        return f"{self.kind} {' + '.join(self.backbones)} ({parameters})"

    @property
    def mean(self) -> float:
        """Mean of the scores."""
        return float(np.mean(self.scores))

    @property
    def deviation(self) -> float:
        """Standard deviation of the scores over the repetitions."""
        return float(np.std(self.scores))

    @property
    def log_loss(self) -> float:
        """Out of fold, in nats."""
        scores = [activate(logits, self.activation) for logits in self.logits]
        return float(np.mean([log_loss(each, self.truth, self.activation) for each in scores]))

    @property
    def mean_logits(self) -> Logits:
        """Of all repetitions, shape [judged, labels]."""
        return np.asarray(self.logits.mean(axis=0))

    def at(self, rows: Rows) -> "Trial":
        """The same trial as far as it judged these images, all of which it must have judged."""
        order = np.searchsorted(self.judged, rows)
        return replace(self, logits=self.logits[:, order], judged=rows, truth=self.truth[order])


@dataclass(frozen=True)
class Untried:
    """A candidate for which there was no time at all.

    Attributes:
        kind: as of a trial.
        backbones: names.
        name: for people.
        parameters: of the training, by name.
        reason: why it was not tried.
    """

    kind: Kind
    backbones: tuple[str, ...]
    name: str
    parameters: Mapping[str, float]
    reason: str


def gain(trial: Trial, other: Trial, seed: int) -> tuple[float, float]:
    """How much better the first is than the second on the images of the first, and the standard error of that."""
    same = other.at(trial.judged)
    scores, others = (activate(each.mean_logits, each.activation) for each in (trial, same))
    error = standard_error_of_gain(scores, others, trial.truth, trial.activation, seed)
    return trial.mean - same.mean, error


def choose(trials: Sequence[Trial], preference: Preference, seed: int) -> Trial:
    """The trial to keep.

    Labels of a handful of images make macro-F1 coarse: one image moves it by more than most candidates differ. So those
    that are worse than the best by less than the error with which that can be told count as equal, and the cheapest of
    them wins: the one-standard-error rule (Breiman et al., "Classification and Regression Trees", 1984, section 3.4.3).
    Who wishes for speed gets it in full, who wishes for accuracy not at all, everybody else by half.

    What was fine-tuned replaces that probe only if it is better by more than luck would make the luckiest of as many as
    were tried: each gain has to pass a one-sided test at a level that is shared among all of them (Bonferroni's
    inequality; Dunn, "Multiple Comparisons among Means", 1961). Only those that were judged by most images count, for
    the others were passed over on the way. Where speed is wished for, nothing slower replaces the probe.

    Args:
        trials: at least one probe; all probes judged the same images.
        preference: the user's wish.
        seed: of the bootstrap.
    """
    probe = _choose_probe([trial for trial in trials if trial.kind == "probe"], preference, seed)
    tuned = [trial for trial in trials if trial.kind == "fine_tuning"]
    most = max((len(trial.judged) for trial in tuned), default=0)
    chosen, best_gain = probe, 0.0
    for trial in (trial for trial in tuned if len(trial.judged) == most):
        better, error = gain(trial, probe, seed)
        too_slow = preference == "speed" and trial.milliseconds > probe.milliseconds
        if better > max(_luck(len(tuned)) * error, best_gain) and not too_slow:
            chosen, best_gain = trial, better
    return chosen


def _luck(candidates: int) -> float:
    """Standard errors by which the luckiest of so many equals is better, seldom more."""
    return NormalDist().inv_cdf(1 - _CHANCE / candidates)


def _choose_probe(probes: Sequence[Trial], preference: Preference, seed: int) -> Trial:
    best = max(probes, key=lambda trial: (trial.mean, -trial.log_loss))

    def is_enough(trial: Trial) -> bool:
        better, error = gain(best, trial, seed)
        return better <= _SLACK[preference] * error

    if preference == "accuracy":
        return best
    return min(filter(is_enough, probes), key=lambda trial: (trial.milliseconds, -trial.mean, trial.log_loss))


def with_reasons(trials: Sequence[Trial], chosen: Trial) -> list[Trial]:
    """The trials, each that was not kept with a reason."""

    def reason(trial: Trial) -> str:
        if trial is chosen:
            return ""  # Whatever the race said of it.
        if trial.dropped:
            return trial.dropped
        if trial.milliseconds > chosen.milliseconds:
            return "not enough better than the chosen one for what it costs"
        return "not better than the chosen one by more than chance"

    return [replace(trial, dropped=reason(trial)) for trial in trials]
