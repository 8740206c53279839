"""Trying probes, as many as there is time for."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from sightsmith_training.engine.classification.candidates import Trial, Untried
from sightsmith_training.engine.classification.folds import Fold
from sightsmith_training.engine.classification.halving import Budget
from sightsmith_training.engine.classification.input_sizes import best_alone, seconds_to_have
from sightsmith_training.engine.classification.probes import STRENGTHS, designs, try_probe
from sightsmith_training.engine.classification.search_input import SearchInput, SearchWish
from sightsmith_training.engine.progress import part_of

# Of the time left, where networks are tuned too; the joined backbones come last and are what is left out.
_SHARE_FOR_PROBES = 0.4

_READING_SHARE = 0.9  # Of the progress of another size: reading and embedding; the rest is its probe.

Advance = Callable[[str, float, float | None], None]
"""Called with what is going on (`probing`, `tuning`, `fitting`), the share of it that is done, the best macro-F1."""


def try_probes(
    given: SearchInput, wish: SearchWish, folds: Sequence[Fold], budget: Budget, advance: Advance
) -> list[Trial]:
    """Tries one backbone after the other and then all of them joined, as far as time goes; the first in any case."""
    share = 1.0 if wish.effort == "fast" else _SHARE_FOR_PROBES
    allowed = budget.share(share)
    sets = designs({name: given.costs[name] for name in given.features})
    whole = sum(map(len, sets)) + bool(wish.other_size)
    trials: list[Trial] = []
    done = 0
    for backbones in sets:
        what = f"probe of {' + '.join(backbones)}"
        if trials and not allowed.has_time_for(what, _expected_seconds(trials, backbones)):
            break
        best = max((trial.mean for trial in trials), default=None)
        wish.note(what, {} if best is None else {"macro_f1_of_best_before": best})
        trials += _try(given, wish, folds, backbones, _report_part(advance, done / whole, len(backbones) / whole, best))
        done += len(backbones)
    return trials


def _try(
    given: SearchInput,
    wish: SearchWish,
    folds: Sequence[Fold],
    backbones: tuple[str, ...],
    advance: Callable[[float], None],
) -> list[Trial]:
    """Tries a design, unless an earlier search of the same images did."""
    cost = sum(given.costs[name] for name in backbones)
    keep = partial(wish.kept.read_or_do, f"probe-{_digest(given, folds, backbones)}")
    trials = try_probe(
        backbones, given.features, given.truth, given.activation, folds, cost, wish.threads, advance, keep
    )
    advance(1.0)
    return trials


def _digest(given: SearchInput, folds: Sequence[Fold], backbones: tuple[str, ...]) -> str:
    """Names all that the logits of a design depend on: features may be computed anew, and come out otherwise."""
    digest = hashlib.sha256(repr((backbones, given.activation)).encode())
    for array in [*(given.features[name] for name in backbones), given.truth, *(fold.test for fold in folds)]:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]


def untried_probes(given: SearchInput, trials: Sequence[Trial]) -> list[Untried]:
    """The designs for which there was no time."""
    tried = {trial.backbones for trial in trials}
    return [
        Untried("probe", backbones, f"probe {' + '.join(backbones)}", {}, "no time was left")
        for backbones in designs({name: given.costs[name] for name in given.features})
        if backbones not in tried
    ]


def try_other_size(
    given: SearchInput,
    wish: SearchWish,
    folds: Sequence[Fold],
    probes: Sequence[Trial],
    budget: Budget,
    advance: Advance,
) -> tuple[SearchInput, list[Trial]]:
    """Tries the best backbone at its other size, too, if there is time; gives what was searched on then."""
    before = best_alone(probes)
    sized = wish.other_size.get(before[0].backbones[0])
    if sized is None or not budget.has_time_for(f"probe of {sized.name}", seconds_to_have(sized, before)):
        return given, []
    best = max(trial.mean for trial in probes)
    wish.note(f"probe of {sized.name}", {"macro_f1_of_best_before": best})
    others = sum(map(len, designs({name: given.costs[name] for name in given.features})))
    report = _report_part(advance, others / (others + 1), 1 / (others + 1), best)
    features = sized.features(part_of(report, 0.0, _READING_SHARE))
    if features is None:
        return given, []
    wider = replace(
        given,
        features={**given.features, sized.name: features},
        costs={**given.costs, sized.name: sized.cost},
    )
    return wider, _try(wider, wish, folds, (sized.name,), part_of(report, _READING_SHARE, 1.0))


def _expected_seconds(trials: Sequence[Trial], backbones: tuple[str, ...]) -> float:
    """A design takes as long as it has backbones, each as long as those before."""
    a_backbone = sum(trial.seconds for trial in trials) / sum(len(trial.backbones) / len(STRENGTHS) for trial in trials)
    return a_backbone * len(backbones)


def _report_part(advance: Advance, start: float, length: float, best: float | None) -> Callable[[float], None]:
    return lambda share: advance("probing", start + length * share, best)
