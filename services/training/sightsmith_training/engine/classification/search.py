"""The search for the best classifier that a budget allows, on the training images alone."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from torch import nn

from sightsmith_training.engine.classification.augmentation import Augmentation
from sightsmith_training.engine.classification.calibration import fit_calibration
from sightsmith_training.engine.classification.candidates import Trial, Untried, choose, with_reasons
from sightsmith_training.engine.classification.fine_tuning import Epoch, Recipe
from sightsmith_training.engine.classification.folds import MAX_FOLDS, Fold, plan_folds
from sightsmith_training.engine.classification.further_folds import judge_leader
from sightsmith_training.engine.classification.halving import Budget, Standing, halve
from sightsmith_training.engine.classification.heads import Head
from sightsmith_training.engine.classification.learning import learning_points
from sightsmith_training.engine.classification.mirroring import survives_mirroring
from sightsmith_training.engine.classification.probes import fit_probe, join_features
from sightsmith_training.engine.classification.probing import Advance, try_other_size, try_probes, untried_probes
from sightsmith_training.engine.classification.search_input import SearchInput, SearchWish
from sightsmith_training.engine.classification.truth import Probabilities, Rows
from sightsmith_training.engine.classification.tuning_candidate import (
    RUNGS,
    TuningCandidate,
    TuningGround,
    epoch_seconds,
)
from sightsmith_training.engine.evaluation_result import LearningPoint
from sightsmith_training.engine.heads import Features
from sightsmith_training.engine.specification import Effort

BUDGET_SECONDS: Mapping[Effort, float] = {"fast": 10.0, "balanced": 285.0, "best": 1785.0}
"""What the efforts stand for, export included; the job has 15 seconds more, to begin and to be published."""

BODY_RATES = (2e-4, 1e-4, 5e-4)
"""In the order of trial: the middle one fits most sets, the last one now and then ruins a network."""

_SPLITS: Mapping[Effort, int] = {"fast": 0, "balanced": 1, "best": 3}  # To race on.
_SHARE_OF_RACE = 0.6  # Of the time for fine-tuning, about; then its leader is judged on the other splits.
_TUNING_STRENGTH = 0.3  # Of the head from which fine-tuning starts.


@dataclass(frozen=True)
class Found:
    """The outcome.

    Attributes:
        chosen: the trial that was kept: one of `trials`, the very same object.
        trials: everything that was tried, in the order of trial.
        backbones: names and, where it was fine-tuned, the network that takes the place of the pretrained one.
        head: fitted on all images, calibrated.
        judged: positions of the images that the chosen trial was judged on.
        scores: calibrated, of those images, out of fold; thresholds are chosen on them. Shape [judged, labels].
        curves: of the last training on all images; empty for frozen networks.
        learning: how the score grows with the images, by the best probe; empty where seconds count.
        untried: candidates for which there was no time at all.
    """

    chosen: Trial
    trials: list[Trial]
    backbones: list[tuple[str, nn.Module | None]]
    head: Head
    judged: Rows
    scores: Probabilities
    curves: list[Epoch]
    learning: list[LearningPoint]
    untried: list[Untried]

    @property
    def network_share(self) -> float | None:
        """Share of the time of the last training's steps that went into the network; None for frozen networks."""
        seconds = sum(epoch.seconds for epoch in self.curves)
        return sum(epoch.seconds * epoch.network_share for epoch in self.curves) / seconds if seconds else None


def search(given: SearchInput, wish: SearchWish, budget: Budget, advance: Advance) -> Found:
    """Tries probes, then fine-tuning as far as the budget goes, and trains what is best on all images.

    What another search for the same found out and decided before it broke off is taken over, however little time is
    left.

    Args:
        given: what is searched on.
        wish: how it is searched.
        budget: seconds for all of it; what comes after the search is for the caller to keep back.
        advance: called while it goes on.
    """
    budget = budget.remembered_by(wish.kept.decide)
    folds = _plan(given, wish)
    probes = try_probes(given, wish, folds, budget, advance)
    probed, sized = try_other_size(given, wish, folds, probes, budget, advance)
    splits, further = _splits(folds, wish)
    standings = _race(given, wish, splits, _by_promise(probes), budget, _part_of_tuning(advance, 0.0, _SHARE_OF_RACE))
    probes += sized
    best_probe = max(probes, key=lambda trial: trial.mean)
    judge_leader(standings, best_probe, further, budget, _part_of_tuning(advance, _SHARE_OF_RACE, 1 - _SHARE_OF_RACE))
    tuned = {id(each): each.contender.trial(each.seconds, each.dropped) for each in standings if each.rungs}
    tried = [*probes, *tuned.values()]
    chosen = choose(tried, wish.preference, wish.seed)
    winner = next((each.contender for each in standings if tuned.get(id(each)) is chosen), None)
    fitting = partial(advance, "fitting")
    # Whoever listens changes to the new phase before anything is noted of it.
    fitting(0.0, chosen.mean)
    backbones, head, curves = _train_on_all(probed, chosen, winner, _with_score(fitting, chosen.mean))
    calibration = fit_calibration(_stacked(chosen), np.tile(chosen.truth, (len(chosen.logits), 1)), given.activation)
    trials = with_reasons(tried, chosen)
    learning = _learning_points(probed, wish, folds, probes, budget, _with_score(fitting, chosen.mean))
    return Found(
        chosen=next(told for trial, told in zip(tried, trials, strict=True) if trial is chosen),
        trials=trials,
        backbones=backbones,
        head=calibration.apply_to(head),
        judged=chosen.judged,
        scores=np.mean([calibration.scores(logits) for logits in chosen.logits], axis=0),
        curves=curves,
        learning=learning,
        untried=untried_probes(given, probes)
        + [each.contender.untried(each.dropped) for each in standings if not each.rungs],
    )


def tuning_seconds(effort: Effort, costs: Collection[float], images: int, threads: int) -> float:
    """Expected for fine-tuning if there is time for all of it: the race, the second look, the last training.

    Args:
        effort: whether, and on how many splits, networks are fine-tuned.
        costs: seconds for one image on an ordinary core, of each backbone.
        images: to learn from.
        threads: cores to use.
    """
    if not _SPLITS[effort]:
        return 0.0
    epoch = epoch_seconds(float(np.mean(list(costs))), images, threads)
    contenders, before, epochs = len(costs) * len(BODY_RATES), 0, 0
    for rung in RUNGS:
        epochs += contenders * (rung - before)
        contenders, before = math.ceil(contenders / 2), rung
    further = MAX_FOLDS - _SPLITS[effort]
    return epoch * (_SPLITS[effort] * epochs + further * RUNGS[-1] + RUNGS[-1])


def _learning_points(
    given: SearchInput,
    wish: SearchWish,
    folds: Sequence[Fold],
    probes: Sequence[Trial],
    budget: Budget,
    advance: Callable[[float], None],
) -> list[LearningPoint]:
    best = max(probes, key=lambda trial: trial.mean)
    if wish.effort == "fast" or not budget.has_time_for("learning curve", best.seconds):
        return []
    return learning_points(given.features, best, given.truth, folds, wish.seed, given.groups, advance)


def _plan(given: SearchInput, wish: SearchWish) -> list[Fold]:
    """One repetition has to do where seconds count."""
    folds = plan_folds(given.truth, wish.seed, given.groups)
    return [fold for fold in folds if fold.repetition == 0] if wish.effort == "fast" else folds


def _with_score(advance: Callable[[float, float | None], None], score: float) -> Callable[[float], None]:
    return lambda share: advance(share, score)


def _part_of_tuning(advance: Advance, start: float, length: float) -> Callable[[float, float | None], None]:
    return lambda share, best: advance("tuning", start + length * share, best)


def _splits(folds: Sequence[Fold], wish: SearchWish) -> tuple[Sequence[Fold], Sequence[Fold]]:
    """Those to race on, and those for a second look at the leader."""
    first = [fold for fold in folds if fold.repetition == 0]
    raced = _SPLITS[wish.effort]
    return first[:raced], first[raced:]


def _by_promise(probes: Sequence[Trial]) -> list[str]:
    """The backbones that were tried alone, the best probe first.

    There is seldom time to fine-tune all of them, and where a network starts decides most of where it ends.
    """
    alone = [trial for trial in probes if len(trial.backbones) == 1]
    return list(dict.fromkeys(trial.backbones[0] for trial in sorted(alone, key=lambda trial: -trial.mean)))


def _race(
    given: SearchInput,
    wish: SearchWish,
    splits: Sequence[Fold],
    backbones: Sequence[str],
    budget: Budget,
    advance: Callable[[float, float | None], None],
) -> list[Standing[TuningCandidate]]:
    if not splits:
        return []
    ground = TuningGround(
        given.pixels,
        given.truth,
        given.activation,
        splits,
        wish.kept,
        wish.seed,
        wish.threads,
        wish.trials,
        wish.device,
        wish.note,
    )
    mirror = wish.kept.decide("mirrored pictures mean the same", lambda: _may_mirror(given, wish))
    augmentation = Augmentation(mirror=mirror)
    candidates = [
        TuningCandidate(
            name,
            given.costs[name],
            partial(wish.load, name),
            partial(_fit_start, given, name),
            Recipe(body_rate=rate, augmentation=augmentation),
            ground,
        )
        for name in backbones
        for rate in BODY_RATES
    ]
    return halve(
        candidates,
        len(RUNGS),
        budget,
        lambda candidate: candidate.final_cost,
        advance,
        wish.trials.at_once,
        wish.pace,
    )


def _may_mirror(given: SearchInput, wish: SearchWish) -> bool:
    embed = wish.embed
    if embed is None:
        return True
    cheapest = min(given.features, key=lambda name: given.costs[name])
    wish.note("whether mirrored pictures mean the same", {})

    def embed_mirrored(rows: Rows) -> Features:
        return embed(cheapest, given.pixels[rows][:, :, ::-1])

    features = given.features[cheapest]
    return survives_mirroring(features, given.truth, given.activation, wish.seed, embed_mirrored, given.groups)


def _fit_start(given: SearchInput, name: str, rows: Rows) -> Head:
    joined = join_features({name: given.features[name][rows]}, [name])
    return fit_probe(joined, given.truth[rows], given.activation, _TUNING_STRENGTH)


def _train_on_all(
    given: SearchInput, chosen: Trial, winner: TuningCandidate | None, advance: Callable[[float], None]
) -> tuple[list[tuple[str, nn.Module | None]], Head, list[Epoch]]:
    if winner is not None:
        backbone, head, epochs = winner.train_on_all(advance)
        return [(winner.backbone, backbone)], head, epochs
    joined = join_features(given.features, chosen.backbones)
    head = fit_probe(joined, given.truth, given.activation, float(chosen.parameters["strength"]))
    advance(1.0)
    return [(name, None) for name in chosen.backbones], head, []


def _stacked(trial: Trial) -> npt.NDArray[np.float64]:
    return np.concatenate(list(trial.logits))
