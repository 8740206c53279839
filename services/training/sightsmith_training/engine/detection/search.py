"""The search for the best detector that a budget allows, on the training images alone.

A detector is tried by a short training on most of the images and judged by the others, which also choose its
thresholds. The one that is kept then learns from all images for the rest of the time. With `fast` there is no time for
two trainings, and the one that was judged is kept as it is.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.classification.halving import Budget
from sightsmith_training.engine.classification.truth import Rows
from sightsmith_training.engine.detection.decoys import find_decoys
from sightsmith_training.engine.detection.design import Design, larger_side, seconds_per_image, suitable_side
from sightsmith_training.engine.detection.ground import DetectorInput, DetectorWish, Ground, Trained
from sightsmith_training.engine.detection.held_out import hold_out
from sightsmith_training.engine.detection.judgement import USUAL_THRESHOLD, Judgement, judge
from sightsmith_training.engine.detection.network import NanoDet
from sightsmith_training.engine.detection.pace import LEAST_STEPS, Pace
from sightsmith_training.engine.detection.scenes import Shares
from sightsmith_training.engine.detection.score_line import NO_CHANGE, ScoreLine
from sightsmith_training.engine.specification import Effort

BUDGET_SECONDS: Mapping[Effort, float] = {"fast": 90.0, "balanced": 330.0, "best": 1700.0}
"""What the efforts stand for in a search for detectors; export and evaluation come on top."""

_TRIALS: Mapping[Effort, int] = {"fast": 1, "balanced": 1, "best": 4}
_TRIAL_SHARE: Mapping[Effort, float] = {"fast": 1.0, "balanced": 0.25, "best": 0.08}  # Of the time, for each trial.
_WORTHWHILE = 0.01  # By how much a trial must be better to replace one: less is chance on a few held-out images.
_LOOKED_AT = 300  # Images that are searched for decoys, at most.
_LEAST_LOOKED_AT = 24
_JUDGING_SHARE = 0.1  # Of the time of a trial: judging by many large images would leave none for learning.
_DECOYS_SHARE = 0.04  # Of all time.

Advance = Callable[[str, float, float | None], None]
"""Called with what is going on (`tuning`, `fitting`), the share of it that is done, and the best mAP50-95 so far."""


@dataclass(frozen=True)
class DetectorTrial:
    """A design that was tried, and how it did on held-out images.

    Attributes:
        name: for people.
        parameters: everything that was chosen, by name.
        map_50: mean average precision at an overlap of 0.5.
        map_50_95: the same, mean over the overlaps 0.5, 0.55 … 0.95.
        seconds: wall time of the trial.
        milliseconds: for one image on an ordinary core, when the model is used.
        dropped: why it was not kept; empty for the one that was.
    """

    name: str
    parameters: Mapping[str, float]
    map_50: float
    map_50_95: float
    seconds: float
    milliseconds: float
    dropped: str = ""


@dataclass(frozen=True)
class FoundDetector:
    """The outcome.

    Attributes:
        network: with its final weights.
        side: of its input in pixels.
        chosen: the trial that was kept; None where there were too few images to hold any out.
        trials: everything that was tried, in the order of trial.
        judgement: of the chosen trial, with calibrated scores; it names the held-out images. None where there was none.
        line: calibrates the network's scores; fitted on the held-out images.
        thresholds: of each label, for calibrated scores, chosen on the held-out images, or the usual one; shape
            [labels].
        losses: of the last training: the mean loss of the steps up to each step that is named.
        network_share: of the time of the last training, how much went into the network.
        notes: what people should know, in plain words.
    """

    network: NanoDet
    side: int
    chosen: DetectorTrial | None
    trials: list[DetectorTrial]
    judgement: Judgement | None
    line: ScoreLine
    thresholds: npt.NDArray[np.float64]
    losses: dict[int, float]
    network_share: float
    notes: list[str]

    @property
    def trade_off(self) -> list[tuple[str, float, float]]:
        """Name, milliseconds for an image and mAP50-95 of every trial, quick ones first."""
        rows = [(trial.name, trial.milliseconds, trial.map_50_95) for trial in self.trials]
        return sorted(rows, key=lambda row: (row[1], -row[2]))


@dataclass(frozen=True)
class _Tried:
    design: Design
    trained: Trained
    judgement: Judgement
    record: DetectorTrial


def search_detector(given: DetectorInput, wish: DetectorWish, budget: Budget, advance: Advance) -> FoundDetector:
    """Tries designs and trains the best one on all images.

    Args:
        given: what is searched on.
        wish: how it is searched.
        budget: seconds for all of it; what comes after the search is for the caller to keep back. At least
            `LEAST_STEPS` steps are trained, whatever they cost.
        advance: called while it goes on.
    """
    ground = Ground(given, wish)
    first = _first_design(given, wish)
    pace = _pace(ground, first, budget)
    judged = given.judged
    if judged is None:
        most = _bearable_images(ground, pace, first, _JUDGING_SHARE * _TRIAL_SHARE[wish.effort])
        judged = hold_out(given.labellings, given.labels, wish.seed, given.groups, most)
    tried = _try_designs(ground, first, pace, judged, advance) if len(judged) else []
    best = _kept(tried)
    design = best.design if best else first
    trained = _finish(ground, best, design, pace, budget, advance)
    line = best.judgement.line if best else NO_CHANGE
    judgement = best.judgement.with_line(line) if best else None
    return FoundDetector(
        network=trained.network,
        side=design.side,
        chosen=best.record if best else None,
        trials=[each.record for each in tried],
        judgement=judgement,
        line=line,
        thresholds=judgement.thresholds if judgement else np.full(given.labels, USUAL_THRESHOLD),
        losses=trained.losses,
        network_share=trained.clock.network / max(trained.clock.total, 1e-9),
        notes=_notes(wish, judgement, line),
    )


def _first_design(given: DetectorInput, wish: DetectorWish) -> Design:
    side = suitable_side(given.labellings, given.squares.shape[1], wish.preference)
    return Design(side) if wish.pretrained else Design(side, frozen=0)


def _pace(ground: Ground, design: Design, budget: Budget) -> Pace:
    """Of the trials, by a few steps."""
    return _kept_pace(ground, "pace.json", lambda: Pace(budget.left, ground.step_seconds(design)))


def _final_pace(ground: Ground, best: _Tried, pace: Pace, budget: Budget) -> Pace:
    """Of the last training, by the trial: the machine may be busier by now, or less, than it was for a few steps."""

    def measure() -> Pace:
        return Pace(budget.left, best.trained.step_seconds or pace.step_seconds)

    return _kept_pace(ground, "final-pace.json", measure)


def _kept_pace(ground: Ground, name: str, measure: Callable[[], Pace]) -> Pace:
    """Measured once: a training that goes on later keeps to what was planned."""
    wish = ground.wish
    file = wish.folder / name
    wish.restore(file)
    pace = Pace.load(file)
    if pace is None:
        pace = measure()
        pace.save(file)
        wish.save(file)
    return pace


def _bearable_images(ground: Ground, pace: Pace, design: Design, share: float) -> int:
    """How many images a detector can look at in a share of the time, but some in any case."""
    seconds = share * pace.seconds * ground.wish.threads
    return max(_LEAST_LOOKED_AT, int(seconds / seconds_per_image(design.side)))


def _try_designs(ground: Ground, first: Design, pace: Pace, judged: Rows, advance: Advance) -> list[_Tried]:
    """Changes one thing after the other, and keeps each change that helps."""
    count = _TRIALS[ground.wish.effort]
    best = _try(ground, first, pace, judged, _report_part(advance, 0, 1 / count, None))
    tried = [best]
    for change in _changes(ground)[: count - 1]:
        design = change(best.design)
        if design == best.design:
            continue
        score = best.record.map_50_95
        report = _report_part(advance, len(tried) / count, 1 / count, score)
        tried.append(_try(ground, design, pace, judged, report))
        if tried[-1].record.map_50_95 > score + _WORTHWHILE:
            best = tried[-1]
    return [each if each is best else _drop(each) for each in tried]


def _report_part(advance: Advance, start: float, length: float, best: float | None) -> Callable[[float], None]:
    return lambda share: advance("tuning", start + length * share, best)


def _changes(ground: Ground) -> list[Callable[[Design], Design]]:
    largest = ground.given.squares.shape[1]

    def other_side(design: Design) -> Design:
        return design if ground.wish.preference == "speed" else replace(design, side=larger_side(design.side, largest))

    return [
        lambda design: replace(design, flip=True),
        other_side,
        lambda design: replace(design, frozen=0),
    ]


def _kept(tried: list[_Tried]) -> _Tried | None:
    return next((each for each in tried if not each.record.dropped), None)


def _drop(tried: _Tried) -> _Tried:
    reason = "not better than the chosen one by more than chance"
    return replace(tried, record=replace(tried.record, dropped=reason))


def _try(ground: Ground, design: Design, pace: Pace, judged: Rows, advance: Callable[[float], None]) -> _Tried:
    started = time.monotonic()
    given = ground.given
    learn = np.setdiff1d(np.arange(len(given.labellings)), judged)
    steps = pace.steps(_TRIAL_SHARE[ground.wish.effort], design.recipe(LEAST_STEPS), len(learn))
    trained = ground.train(f"trial-{design.key}", design, steps, learn, advance)
    found = ground.detect(trained.network, design, judged)
    judgement = judge(judged, found, given.labellings, given.sizes, given.labels)
    record = DetectorTrial(
        name=design.name,
        parameters={**design.parameters, "steps": steps},
        map_50=judgement.map_50,
        map_50_95=judgement.map_50_95,
        seconds=time.monotonic() - started,
        milliseconds=design.milliseconds,
    )
    return _Tried(design, trained, judgement, record)


def _finish(
    ground: Ground, best: _Tried | None, design: Design, pace: Pace, budget: Budget, advance: Advance
) -> Trained:
    """Trains on all images for the time that is left, and goes on from what the trial learned."""
    if best and _TRIAL_SHARE[ground.wish.effort] >= 1:
        return best.trained
    score = best.record.map_50_95 if best else None
    advance("fitting", 0.0, score)
    decoys = None
    if best:
        decoys = _decoys(ground, best, pace)
        pace = _final_pace(ground, best, pace, budget)
    rows = np.arange(len(ground.given.labellings))
    steps = pace.steps(1.0, design.recipe(LEAST_STEPS), len(rows))
    return ground.train(
        f"final-{design.key}",
        design,
        steps,
        rows,
        lambda share: advance("fitting", share, score),
        decoys,
        begin_with=best.trained.network if best else None,
    )


def _decoys(ground: Ground, tried: _Tried, pace: Pace) -> list[Shares]:
    """Of a sample of the images: to look at all of many would take longer than it helps."""
    given = ground.given
    count = len(given.labellings)
    looked_at = min(_LOOKED_AT, _bearable_images(ground, pace, tried.design, _DECOYS_SHARE))
    rows = np.sort(np.random.default_rng(ground.wish.seed).permutation(count)[:looked_at])
    found = find_decoys(
        ground.detect(tried.trained.network, tried.design, rows),
        [given.labellings[row] for row in rows],
        [given.sizes[row] for row in rows],
    )
    decoys = [np.empty((0, 4), np.float32)] * count
    for row, own in zip(rows.tolist(), found, strict=True):
        decoys[row] = own
    return decoys


def _notes(wish: DetectorWish, judgement: Judgement | None, line: ScoreLine) -> list[str]:
    notes = []
    if wish.pretrained is None:
        notes.append("No pretrained weights were at hand: the detector began from nothing and needs many more images.")
    if judgement is None:
        notes.append(
            f"There are too few images to hold any out: every threshold is the usual one, {USUAL_THRESHOLD}, and "
            "confidences are not calibrated. Give more training images with boxes, or set thresholds by hand."
        )
    elif line == NO_CHANGE:
        notes.append(
            "Too few boxes are found on the held-out images, rightly or wrongly, to calibrate confidences by: they are "
            "guesses of the overlap."
        )
    return notes
