"""A second look at the winner of a race, on images that it did not race on."""

from collections.abc import Callable, Sequence

from sightsmith_training.engine.classification.candidates import Trial
from sightsmith_training.engine.classification.folds import Fold
from sightsmith_training.engine.classification.halving import Budget, Standing
from sightsmith_training.engine.classification.tuning_candidate import TuningCandidate


def judge_leader(
    standings: Sequence[Standing[TuningCandidate]],
    probe: Trial,
    splits: Sequence[Fold],
    budget: Budget,
    advance: Callable[[float, float | None], None],
) -> None:
    """Trains the leader of a race on further splits, one after the other while there is time, and counts them too.

    The best of many on a few images was lucky as a rule (Cawley and Talbot, "On Over-fitting in Model Selection", 2010,
    section 5); on other images it is as good as it is. A leader that is no better than the probe even with its luck
    needs no second look.

    Args:
        standings: of the race.
        probe: the best one; it judged all images.
        splits: that were not raced on; none of their test images was judged yet.
        budget: of the whole; what the last training takes is kept back.
        advance: called after each split with the share of the splits that are done and the leader's score.
    """
    leader = max((each for each in standings if each.rungs), key=lambda each: (each.rungs, each.score), default=None)
    if leader is None:
        return
    contender = leader.contender
    if contender.score() <= probe.at(contender.trial(0.0, "").judged).mean:
        return
    pace = leader.seconds / sum(contender.cost(rung) for rung in range(leader.rungs))
    for number, split in enumerate(splits, start=1):
        seconds = pace * (contender.further_cost(split) + contender.final_cost)
        if not budget.has_time_for(f"{contender.name}: further fold {number}", seconds):
            break
        started = budget.now()
        contender.train_further(split)
        leader.seconds += budget.now() - started
        leader.score = contender.score()
        advance(number / len(splits), leader.score)
