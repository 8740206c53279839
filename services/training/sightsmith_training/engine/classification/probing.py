"""Trying probes, as many as there is time for."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from sightsmith_training.engine.classification.candidates import Trial, Untried
from sightsmith_training.engine.classification.folds import Fold
from sightsmith_training.engine.classification.halving import Budget
from sightsmith_training.engine.classification.input_sizes import best_alone, is_worth_trying
from sightsmith_training.engine.classification.probes import STRENGTHS, designs, try_probe
from sightsmith_training.engine.classification.search_input import SearchInput, SearchWish

# Of the time left, where networks are tuned too; the joined backbones come last and are what is left out.
_SHARE_FOR_PROBES = 0.4

Advance = Callable[[str, float, float | None], None]
"""Called with what is going on (`probing`, `tuning`, `fitting`), the share of it that is done, the best macro-F1."""


def try_probes(
    given: SearchInput, wish: SearchWish, folds: Sequence[Fold], budget: Budget, advance: Advance
) -> list[Trial]:
    """Tries one backbone after the other and then all of them joined, as far as time goes; the first in any case."""
    share = 1.0 if wish.effort == "fast" else _SHARE_FOR_PROBES
    allowed = Budget(budget.left * share, budget.now)
    sets = designs({name: given.costs[name] for name in given.features})
    whole = sum(map(len, sets))
    trials: list[Trial] = []
    done = 0
    for backbones in sets:
        if trials and _expected_seconds(trials, backbones) > allowed.left:
            break
        best = max((trial.mean for trial in trials), default=None)
        wish.note(f"probe of {' + '.join(backbones)}", {} if best is None else {"macro_f1_of_best_before": best})
        trials += try_probe(
            backbones,
            given.features,
            given.truth,
            given.activation,
            folds,
            sum(given.costs[name] for name in backbones),
            wish.threads,
            _report_part(advance, done / whole, len(backbones) / whole, best),
        )
        done += len(backbones)
    return trials


def untried_probes(given: SearchInput, trials: Sequence[Trial]) -> list[Untried]:
    """The designs for which there was no time."""
    tried = {trial.backbones for trial in trials}
    return [
        Untried("probe", backbones, f"probe {' + '.join(backbones)}", {}, "no time was left")
        for backbones in designs({name: given.costs[name] for name in given.features})
        if backbones not in tried
    ]


def try_other_size(
    given: SearchInput, wish: SearchWish, folds: Sequence[Fold], probes: Sequence[Trial], budget: Budget
) -> tuple[SearchInput, list[Trial]]:
    """Tries the best backbone at its other size, too, if there is time; gives what was searched on then."""
    before = best_alone(probes)
    sized = wish.other_size.get(before[0].backbones[0])
    if sized is None or not is_worth_trying(sized, before, budget.left):
        return given, []
    wish.note(f"probe of {sized.name}", {"macro_f1_of_best_before": max(trial.mean for trial in probes)})
    features = sized.features()
    if features is None:
        return given, []
    wider = replace(
        given,
        features={**given.features, sized.name: features},
        costs={**given.costs, sized.name: sized.cost},
    )
    design = (sized.name,)
    return wider, try_probe(design, wider.features, given.truth, given.activation, folds, sized.cost, wish.threads)


def _expected_seconds(trials: Sequence[Trial], backbones: tuple[str, ...]) -> float:
    """A design takes as long as it has backbones, each as long as those before."""
    a_backbone = sum(trial.seconds for trial in trials) / sum(len(trial.backbones) / len(STRENGTHS) for trial in trials)
    return a_backbone * len(backbones)


def _report_part(advance: Advance, start: float, length: float, best: float | None) -> Callable[[float], None]:
    return lambda share: advance("probing", start + length * share, best)
