"""Designs of detectors, each tried by short trainings and judged by images that these did not learn from."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sightsmith_training.engine.classification.halving import Budget
from sightsmith_training.engine.classification.truth import Rows
from sightsmith_training.engine.detection.choosing import is_better
from sightsmith_training.engine.detection.design import Design, enlarged, larger_side, suitable_side
from sightsmith_training.engine.detection.ground import DetectorInput, Ground, Trained
from sightsmith_training.engine.detection.judgement import Judgement, judge
from sightsmith_training.engine.detection.pace import LEAST_STEPS, Pace
from sightsmith_training.engine.detection.pacing import TRIALS_SHARE, pace_after, pace_with
from sightsmith_training.engine.judging.answers import Detections
from sightsmith_training.engine.progress import part_of

_FEW_BOXES = 30  # Of a label: with fewer, `balanced` too tries to paste them upon other images.
_WITH_JUDGING = 1.1  # How long a trial takes, as a multiple of its training.

ENOUGH_BOXES = 100
"""Held-out boxes that judge well enough; with fewer, further parts of the images judge, too, if there is time."""

Report = Callable[[float, float | None], None]
"""Called with the share that is done, and the best mAP50-95 so far."""


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
class Tried:
    """A design, and what came of trying it.

    Attributes:
        design: of the detector.
        trained: on all images but those of the first part.
        judgement: on the images of all parts that it was tried on, each by a detector that did not learn from it.
        steps: of each training.
        seconds: wall time of all of it.
        dropped: why it was not kept; empty for the one that was.
    """

    design: Design
    trained: Trained
    judgement: Judgement
    steps: int
    seconds: float
    dropped: str = ""

    @property
    def record(self) -> DetectorTrial:
        """What people are told of it."""
        return DetectorTrial(
            name=self.design.name,
            parameters={**self.design.parameters, "steps": self.steps, "judged_images": len(self.judgement.rows)},
            map_50=self.judgement.map_50,
            map_50_95=self.judgement.map_50_95,
            seconds=self.seconds,
            milliseconds=self.design.milliseconds,
            dropped=self.dropped,
        )


def try_designs(
    ground: Ground, first: Design, pace: Pace, parts: Sequence[Rows], budget: Budget, report: Report
) -> list[Tried]:
    """Changes one thing after the other, and keeps each change that helps by more than chance.

    Args:
        ground: of the search.
        first: where to begin.
        pace: how much time a trial has.
        parts: of the images, to judge by; at least one. Few images judge badly, so that designs are tried on several
            parts where these hold few boxes, in seconds for which the last training has no use.
        budget: of the search.
        report: called while it goes on.

    Returns:
        What was tried, in the order of trial; all but one were dropped.
    """
    changes = _changes(ground)
    designs = 1 + len(changes)
    start = _try(ground, first, pace, parts[:1], _part_of(report, 0, 1 / designs, None))
    judged = parts[: _parts_to_judge_by(ground, start, pace, parts, designs, budget)]
    best = start
    if len(judged) > 1:
        best = _try(ground, first, pace, judged, _part_of(report, 0, 1 / designs, start.judgement.map_50_95), start)
    tried = [best]
    for change in changes:
        design = change(best.design)
        if design == best.design:
            continue
        own_report = _part_of(report, len(tried) / designs, 1 / designs, best.judgement.map_50_95)
        tried.append(_try(ground, design, pace_with(ground, design, pace), judged, own_report))
        if is_better(tried[-1].judgement, best.judgement, ground.wish.preference, ground.wish.seed):
            best = tried[-1]
    reason = "not better than the chosen one by more than chance"
    return [each if each is best else replace(each, dropped=reason) for each in tried]


def trial_share(ground: Ground) -> float:
    """How much of the time there is for each trial."""
    return TRIALS_SHARE[ground.wish.effort] / (1 + len(_changes(ground)))


def _changes(ground: Ground) -> list[Callable[[Design], Design]]:
    """What is worth a trial, in this order; some of it may change nothing about the best design so far."""
    given, wish = ground.given, ground.wish
    largest = given.squares.shape[1]
    first = Design(suitable_side(given.labellings, largest, wish.preference))

    def with_enlarged(design: Design) -> Design:
        return enlarged(design, given.labellings, wish.preference)

    def with_pasted(design: Design) -> Design:
        return replace(design, paste=True)

    def other_side(design: Design) -> Design:
        return design if wish.preference == "speed" else replace(design, side=larger_side(design.side, largest))

    def with_mosaics(design: Design) -> Design:
        return replace(design, mosaic=True)

    # Composed scenes are made of pasted objects.
    pasting = [with_pasted] if given.judged is None else []
    if wish.effort == "best":
        return [
            *([with_enlarged] if with_enlarged(first) != first else []),
            with_mosaics,
            *pasting,
            lambda design: replace(design, flip=True),
            other_side,
            lambda design: replace(design, frozen=0),
        ]
    is_worth_it = wish.effort == "balanced" and given.judged is None and _has_few_boxes(given)
    return [with_mosaics] if is_worth_it else []


def _has_few_boxes(given: DetectorInput) -> bool:
    labels = np.concatenate([np.empty(0, np.intp), *(each.labels for each in given.labellings)])
    return len(labels) < _FEW_BOXES * given.labels


def _part_of(report: Report, start: float, length: float, best: float | None) -> Callable[[float], None]:
    return lambda share: report(start + length * share, best)


def _try(
    ground: Ground,
    design: Design,
    pace: Pace,
    parts: Sequence[Rows],
    advance: Callable[[float], None],
    begun: Tried | None = None,
) -> Tried:
    """Trains and judges once for each part; `begun` is what came of the first part alone, if it was tried before."""
    started = time.monotonic()
    steps = pace.steps(trial_share(ground), design.recipe(LEAST_STEPS), _others(ground, parts[0]))
    trained = [begun.trained] if begun else []
    detections = [begun.judgement.detections] if begun else []
    for number, part in list(enumerate(parts))[len(trained) :]:
        name = f"trial-{design.key}" if number == 0 else f"trial-{design.key}-part{number}"
        learned = np.setdiff1d(np.arange(len(ground.given.labellings)), part)
        own_part = part_of(advance, number / len(parts), (number + 1) / len(parts))
        trained.append(ground.train(name, design, steps, learned, own_part))
        detections.append(ground.detect(trained[-1].network, design, part))
    before = begun.seconds if begun else 0.0
    return Tried(design, trained[0], _judge(ground, parts, detections), steps, before + time.monotonic() - started)


def _judge(ground: Ground, parts: Sequence[Rows], detections: Sequence[Sequence[Detections]]) -> Judgement:
    """Judges by all parts together, in the order of the images."""
    given = ground.given
    rows, found = np.concatenate(parts), [own for of_part in detections for own in of_part]
    order = np.argsort(rows)
    return judge(rows[order], [found[place] for place in order.tolist()], given.labellings, given.sizes, given.labels)


def _others(ground: Ground, part: Rows) -> int:
    return len(ground.given.labellings) - len(part)


def _parts_to_judge_by(
    ground: Ground, start: Tried, pace: Pace, parts: Sequence[Rows], designs: int, budget: Budget
) -> int:
    """By how many parts designs are judged: so many that there are enough boxes, as far as there is time to spare."""
    boxes = np.cumsum([sum(len(ground.given.labellings[row].labels) for row in part.tolist()) for part in parts])
    wanted = min(len(parts), 1 + int((boxes < ENOUGH_BOXES).sum()))
    if wanted == 1 or ground.wish.effort == "fast":
        return 1
    left = pace_after(ground, "trial-pace.json", start.trained, pace, budget)
    recipe = start.design.recipe(LEAST_STEPS)
    trial = _WITH_JUDGING * left.seconds_of(start.steps, recipe)
    useful = left.steps(1.0, recipe, len(ground.given.labellings))
    spare = left.seconds - left.seconds_of(useful, recipe) - (designs - 1) * trial
    return max(1, min(wanted, 1 + int(spare / (designs * trial))))
