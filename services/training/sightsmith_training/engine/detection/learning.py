"""How a detector's mean average precision grows with the number of images that it learns from."""

from collections.abc import Callable

import numpy as np

from sightsmith_training.engine.classification.folds import stratify_images
from sightsmith_training.engine.classification.truth import Rows
from sightsmith_training.engine.detection.design import Design, seconds_per_image
from sightsmith_training.engine.detection.ground import Ground
from sightsmith_training.engine.detection.judgement import judge
from sightsmith_training.engine.detection.pace import LEAST_STEPS, Pace
from sightsmith_training.engine.evaluation import bounds
from sightsmith_training.engine.evaluation_result import LearningPoint
from sightsmith_training.engine.judging.intervals import detection_intervals
from sightsmith_training.engine.progress import part_of

_QUARTERS = (1, 2, 4)  # Of the images: each time twice as many, as the advice asks for.
_MOST = 0.1  # Of all time.
_LEARNING = 0.8  # Of that; the rest is for judging.
_ENOUGH_BOXES = 50  # Held out; fewer cannot tell one point of the curve from the next.


def learning_points(
    ground: Ground, design: Design, pace: Pace, judged: Rows, advance: Callable[[float], None]
) -> list[LearningPoint]:
    """Trains a design on a quarter, on a half and on all of the images, in as many steps each, and judges by the rest.

    Every quarter has about its share of each label; the larger set holds the smaller one. The mean average precision is
    that at an overlap of 0.5, of short trainings: those of the whole time are better, as far as there is room for it.

    Args:
        ground: of the search.
        design: to be trained.
        pace: the time for all of the search, of which at most a tenth is taken.
        judged: images to judge by, which are not learned from.
        advance: called with the share that is done.

    Returns:
        Few images first; nothing where there is no time, or too little to judge by.
    """
    given = ground.given
    rows = np.setdiff1d(np.arange(len(given.labellings)), judged)
    recipe = design.recipe(LEAST_STEPS)
    steps = pace.steps(_MOST * _LEARNING / len(_QUARTERS), recipe, len(rows))
    judging = seconds_per_image(design.seen_side) * len(judged) / ground.wish.threads
    if len(_QUARTERS) * (pace.seconds_of(steps, recipe) + judging) > _MOST * pace.seconds:
        return []
    if sum(len(given.labellings[row].labels) for row in judged.tolist()) < _ENOUGH_BOXES:
        return []
    quarters = _quarters(ground, rows)
    points = len(_QUARTERS)
    return [
        _point(
            ground, design, steps, rows[quarters < count], judged, part_of(advance, done / points, (done + 1) / points)
        )
        for done, count in enumerate(_QUARTERS)
    ]


def _quarters(ground: Ground, rows: Rows) -> Rows:
    """The quarter of each image, shape [rows]; near duplicates are in one: a copy of what is known teaches nothing."""
    given = ground.given
    truth = np.array([np.isin(range(given.labels), given.labellings[row].labels) for row in rows.tolist()])
    groups = None if given.groups is None else given.groups[rows]
    return stratify_images(truth, max(_QUARTERS), ground.wish.seed, groups)


def _point(
    ground: Ground, design: Design, steps: int, learned: Rows, judged: Rows, advance: Callable[[float], None]
) -> LearningPoint:
    given = ground.given
    trained = ground.train(f"learning-{design.key}-{len(learned)}", design, steps, learned, advance)
    found = ground.detect(trained.network, design, judged)
    judgement = judge(judged, found, given.labellings, given.sizes, given.labels)
    interval = detection_intervals(judgement.matches, ground.wish.seed).mean_average_precision
    return LearningPoint(images=len(learned), score=interval.value, interval=bounds(interval))
