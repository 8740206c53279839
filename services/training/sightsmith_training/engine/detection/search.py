"""The search for the best detector that a budget allows, on the training images alone.

A detector is tried by a short training on most of the images and judged by the others, which also choose its
thresholds; few images are divided so that each of them judges once, if there is time. The one that is kept then learns
from all images for the rest of the time. With `fast` there is no time for
two trainings, and the one that was judged is kept as it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.classification.halving import Budget
from sightsmith_training.engine.classification.truth import Rows
from sightsmith_training.engine.detection.decoys import look_for_decoys
from sightsmith_training.engine.detection.design import Design, suitable_side
from sightsmith_training.engine.detection.ground import DetectorInput, DetectorWish, Ground, Trained
from sightsmith_training.engine.detection.held_out import hold_out
from sightsmith_training.engine.detection.judgement import USUAL_THRESHOLD, Judgement
from sightsmith_training.engine.detection.learning import learning_points
from sightsmith_training.engine.detection.network import NanoDet
from sightsmith_training.engine.detection.pace import LEAST_STEPS, Pace
from sightsmith_training.engine.detection.pacing import bearable_images, first_pace, pace_after
from sightsmith_training.engine.detection.score_line import NO_CHANGE, ScoreLine
from sightsmith_training.engine.detection.trials import DetectorTrial, Tried, trial_share, try_designs
from sightsmith_training.engine.evaluation_result import LearningPoint
from sightsmith_training.engine.specification import Effort

BUDGET_SECONDS: Mapping[Effort, float] = {"fast": 90.0, "balanced": 330.0, "best": 1700.0}
"""What the efforts stand for in a search for detectors; export and evaluation come on top."""

_JUDGING_SHARE = 0.1  # Of the time of a trial: judging by many large images would leave none for learning.
_DECOYS_SHARE = 0.04  # Of all time.

Advance = Callable[[str, float, float | None], None]
"""Called with what is going on (`tuning`, `fitting`), the share of it that is done, and the best mAP50-95 so far."""


@dataclass(frozen=True)
class FoundDetector:
    """The outcome.

    Attributes:
        network: with its final weights.
        side: of its input in pixels.
        enlargement: how many times larger the network sees it, see `tiles_of`.
        chosen: the trial that was kept; None where there were too few images to hold any out.
        trials: everything that was tried, in the order of trial.
        judgement: of the chosen trial, with calibrated scores; it names the held-out images. None where there was none.
        line: calibrates the network's scores; fitted on the held-out images.
        thresholds: of each label, for calibrated scores, chosen on the held-out images, or the usual one; shape
            [labels].
        losses: of the last training: the mean loss of the steps up to each step that is named.
        network_share: of the time of the last training, how much went into the network.
        learning: how mAP50 grows with the images, by short trainings; empty where there is no time for them.
        notes: what people should know, in plain words.
    """

    network: NanoDet
    side: int
    enlargement: int
    chosen: DetectorTrial | None
    trials: list[DetectorTrial]
    judgement: Judgement | None
    line: ScoreLine
    thresholds: npt.NDArray[np.float64]
    losses: dict[int, float]
    network_share: float
    learning: list[LearningPoint]
    notes: list[str]

    @property
    def seen_side(self) -> int:
        """Side in pixels of what the network sees."""
        return self.side * self.enlargement


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
    pace = first_pace(ground, first, budget)
    parts = _parts(ground, first, pace)
    tried = try_designs(ground, first, pace, parts, budget, partial(advance, "tuning")) if parts else []
    best = next((each for each in tried if not each.dropped), None)
    design = best.design if best else first
    learning = _learning(ground, best, pace, parts[0], budget, advance) if best else []
    trained = _finish(ground, best, design, pace, budget, advance)
    line = best.judgement.line if best else NO_CHANGE
    judgement = best.judgement.with_line(line) if best else None
    trials = [each.record for each in tried]
    return FoundDetector(
        network=trained.network,
        side=design.side,
        enlargement=design.enlargement,
        chosen=next((trial for trial in trials if not trial.dropped), None),
        trials=trials,
        judgement=judgement,
        line=line,
        thresholds=judgement.thresholds if judgement else np.full(given.labels, USUAL_THRESHOLD),
        losses=trained.losses,
        network_share=trained.clock.network / max(trained.clock.total, 1e-9),
        learning=learning,
        notes=_notes(wish, judgement, line),
    )


def _first_design(given: DetectorInput, wish: DetectorWish) -> Design:
    side = suitable_side(given.labellings, given.squares.shape[1], wish.preference)
    return Design(side) if wish.pretrained else Design(side, frozen=0)


def _parts(ground: Ground, design: Design, pace: Pace) -> list[Rows]:
    """Of the images, to judge by; none where there are too few."""
    given, wish = ground.given, ground.wish
    if given.judged is not None:
        return [given.judged]
    most = bearable_images(ground, pace, design, _JUDGING_SHARE * trial_share(ground))
    return hold_out(given.labellings, given.labels, wish.seed, given.groups, most)


def _learning(
    ground: Ground, best: Tried, pace: Pace, judged: Rows, budget: Budget, advance: Advance
) -> list[LearningPoint]:
    # There are as many composed scenes as anybody wants.
    if ground.wish.effort == "fast" or ground.given.judged is not None:
        return []
    measured = pace_after(ground, "learning-pace.json", best.trained, pace, budget)
    score = best.judgement.map_50_95
    whole = Pace(pace.seconds, measured.step_seconds)
    return learning_points(ground, best.design, whole, judged, lambda share: advance("tuning", share, score))


def _finish(
    ground: Ground, best: Tried | None, design: Design, pace: Pace, budget: Budget, advance: Advance
) -> Trained:
    """Trains on all images for the time that is left, and goes on from what the trial learned."""
    if best and ground.wish.effort == "fast":
        return best.trained
    score = best.judgement.map_50_95 if best else None
    advance("fitting", 0.0, score)
    decoys = None
    if best:
        bearable = bearable_images(ground, pace, design, _DECOYS_SHARE)
        decoys = look_for_decoys(ground, best.trained.network, design, bearable)
        pace = pace_after(ground, "final-pace.json", best.trained, pace, budget)
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
