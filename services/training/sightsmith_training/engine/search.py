"""The choice of a design by cross-validation, on the training images alone."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score, log_loss
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from sightsmith_training.engine.contract import Candidate
from sightsmith_training.engine.heads import Features, Head, even_out, fit_heads

STRENGTHS = (0.03, 0.3, 3.0)
"""Inverse regularisation, ascending. Standardised features make the same few values fit most sets."""

_MAX_FOLDS = 5
_FEW_IMAGES = 1000
_REPETITIONS_OF_FEW, _REPETITIONS_OF_MANY = 3, 1

Targets = npt.NDArray[np.intp]
Probabilities = npt.NDArray[np.float64]
"""Shape [images, labels]."""


@dataclass(frozen=True)
class Trial:
    """A candidate and how it did.

    Attributes:
        candidate: the design.
        predictions: out of fold, of the training images, averaged over the repetitions.
        standard_error: of the score, because another draw of as many images would give another one.
    """

    candidate: Candidate
    predictions: Probabilities
    standard_error: float


@dataclass(frozen=True)
class Fold:
    """Positions of the images to learn from and of those to test on, in one repetition of the cross-validation."""

    repetition: int
    learn: npt.NDArray[np.intp]
    test: npt.NDArray[np.intp]


@dataclass(frozen=True)
class FoldPlan:
    """How the training images are divided: the same for every candidate, so that they compare fairly."""

    folds: int
    repetitions: int
    seed: int

    @classmethod
    def of(cls, targets: Targets, seed: int) -> "FoldPlan":
        """As many folds as the rarest label allows, so that each fold teaches and tests every label."""
        few = len(targets) <= _FEW_IMAGES
        return cls(
            folds=int(min(_MAX_FOLDS, np.bincount(targets).min())),
            repetitions=_REPETITIONS_OF_FEW if few else _REPETITIONS_OF_MANY,
            seed=seed,
        )

    def all_folds(self, targets: Targets) -> list[Fold]:
        """Every fold of every repetition."""
        return [
            Fold(repetition, learn, test)
            for repetition in range(self.repetitions)
            for learn, test in self._splitter(repetition).split(np.zeros(len(targets)), targets)
        ]

    def _splitter(self, repetition: int) -> StratifiedKFold:
        return StratifiedKFold(self.folds, shuffle=True, random_state=(self.seed + repetition) % 2**32)


def designs(backbones: Sequence[str]) -> list[tuple[str, ...]]:
    """The sets of backbones to try: each alone, and all of them joined."""
    alone: list[tuple[str, ...]] = [(name,) for name in backbones]
    return [*alone, tuple(backbones)] if len(backbones) > 1 else alone


def join_features(features: Mapping[str, Features], backbones: Sequence[str]) -> Features:
    """Evened-out features of several backbones side by side, in the order given."""
    return even_out(np.concatenate([features[name] for name in backbones], axis=1))


def search(
    features: Mapping[str, Features],
    targets: Targets,
    seed: int,
    threads: int,
    advance: Callable[[float, float | None], None],
) -> list[Trial]:
    """Tries every design at every strength.

    Args:
        features: of the training images, by backbone.
        targets: shape [images]; the label of each.
        seed: decides the folds.
        threads: folds at once; the result does not depend on it.
        advance: called with the share of the work that is done and the best macro-F1 so far.

    Returns:
        The trials, in a fixed order.
    """
    plan = FoldPlan.of(targets, seed)
    sets = designs(list(features))
    whole = sum(len(backbones) for backbones in sets)
    trials: list[Trial] = []
    done = 0
    for backbones in sets:
        report = _report_part(advance, done / whole, len(backbones) / whole, _best_score(trials))
        trials += _try_design(backbones, join_features(features, backbones), targets, plan, threads, report)
        done += len(backbones)
    advance(1.0, _best_score(trials))
    return trials


def _best_score(trials: Sequence[Trial]) -> float | None:
    return max((trial.candidate.score_mean for trial in trials), default=None)


def _report_part(
    advance: Callable[[float, float | None], None], start: float, length: float, best: float | None
) -> Callable[[float], None]:
    return lambda share: advance(start + length * share, best)


def choose(trials: Sequence[Trial], costs: Mapping[str, float]) -> Trial:
    """The cheapest of the trials that are as good as the best one can tell; of those, the lowest log loss.

    Labels of a handful of images make macro-F1 coarse: one image moves it by more than most designs differ. So those
    within one standard error of the best score count as equal, and the simplest of them wins: the one-standard-error
    rule (Breiman et al., Classification and Regression Trees, 1984, section 3.4.3). Joined backbones must earn what
    they cost with every prediction.

    Args:
        trials: at least one.
        costs: relative cost of each backbone.
    """
    best = max(trials, key=lambda trial: trial.candidate.score_mean)
    enough = best.candidate.score_mean - best.standard_error

    def rank(trial: Trial) -> tuple[float, float]:
        return sum(costs[name] for name in trial.candidate.backbones), trial.candidate.log_loss

    return min((trial for trial in trials if trial.candidate.score_mean >= enough), key=rank)


def _try_design(
    backbones: tuple[str, ...],
    features: Features,
    targets: Targets,
    plan: FoldPlan,
    threads: int,
    advance: Callable[[float], None],
) -> list[Trial]:
    # Shape [strengths, repetitions, images, labels].
    held_out = np.zeros((len(STRENGTHS), plan.repetitions, len(targets), int(targets.max()) + 1))
    folds = plan.all_folds(targets)

    def try_fold(fold: Fold) -> list[Probabilities]:
        heads = fit_heads(features[fold.learn], targets[fold.learn], STRENGTHS)
        return [head.predict(features[fold.test]) for head in heads]

    with _one_thread_each(), ThreadPoolExecutor(threads) as pool:
        for done, (fold, predictions) in enumerate(zip(folds, pool.map(try_fold, folds), strict=True), start=1):
            held_out[:, fold.repetition, fold.test] = predictions
            advance(done / len(folds))
    return [
        _judge(backbones, strength, predictions, targets)
        for strength, predictions in zip(STRENGTHS, held_out, strict=True)
    ]


def _judge(
    backbones: tuple[str, ...], strength: float, predictions: npt.NDArray[np.float64], targets: Targets
) -> Trial:
    """Scores the pooled out-of-fold predictions of each repetition; a fold alone has too few images of a rare label."""
    scores = [float(f1_score(targets, repetition.argmax(axis=1), average="macro")) for repetition in predictions]
    candidate = Candidate(
        backbones=list(backbones),
        strength=strength,
        scores=scores,
        score_mean=float(np.mean(scores)),
        score_std=float(np.std(scores)),
        log_loss=float(np.mean([log_loss(targets, repetition) for repetition in predictions])),
    )
    mean_predictions = predictions.mean(axis=0)
    return Trial(candidate, mean_predictions, _standard_error(targets, mean_predictions))


def _standard_error(targets: Targets, predictions: Probabilities) -> float:
    """Of a mean of one share per label, each binomial: the recall stands for the F1, whose error has no plain form."""
    images = np.bincount(targets)
    recall = np.bincount(targets[predictions.argmax(axis=1) == targets], minlength=len(images)) / images
    return float(np.sqrt((recall * (1 - recall) / images).sum()) / len(images))


def fit_chosen(features: Mapping[str, Features], targets: Targets, candidate: Candidate) -> Head:
    """Fits the chosen design on all training images."""
    joined = join_features(features, candidate.backbones)
    # By the same path as in the cross-validation: where a fit starts shows a little in where it stops.
    path = [strength for strength in STRENGTHS if strength <= candidate.strength]
    with _one_thread_each():
        *_, head = fit_heads(joined, targets, path)
    return head


def _one_thread_each() -> threadpool_limits:
    """Threads inside a fit make such small problems many times slower, and the sums would depend on their number."""
    return threadpool_limits(limits=1, user_api="blas")
