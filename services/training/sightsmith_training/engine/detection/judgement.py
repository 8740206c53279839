"""How well a detector finds what is labelled on images that it did not learn from, and which thresholds suit it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.classification.truth import Rows
from sightsmith_training.engine.detection.labelling import Labelling
from sightsmith_training.engine.detection.score_line import ScoreLine, fit_score_line
from sightsmith_training.engine.judging.answers import Detections, LabelledImage
from sightsmith_training.engine.judging.detection_matches import DetectionMatches, match_detections
from sightsmith_training.engine.judging.detection_metrics import detection_figures
from sightsmith_training.engine.judging.overlaps import NOBODY
from sightsmith_training.engine.judging.rankings import Ranking
from sightsmith_training.engine.judging.thresholds import best_threshold

USUAL_THRESHOLD = 0.4
"""Where there is nothing to choose by, and nothing to calibrate by: raw scores are guesses of the overlap, and those of
objects seldom come near 1."""

_ENOUGH_BOXES = 10  # To choose the threshold of a label by its own boxes.

Size = tuple[int, int]
"""Width and height of an image in pixels, upright."""


@dataclass(frozen=True)
class Judgement:
    """What a detector found on images that were held out.

    Attributes:
        rows: positions of the images among the training images.
        detections: on each of them.
        matches: with what is labelled there.
    """

    rows: Rows
    detections: list[Detections]
    matches: DetectionMatches

    @property
    def map_50(self) -> float:
        """Mean average precision at an overlap of 0.5; 0 where no boxes are labelled."""
        return detection_figures(self.matches).coco["all"].ap50 or 0.0

    @property
    def map_50_95(self) -> float:
        """The same, mean over the overlaps 0.5, 0.55 … 0.95."""
        return detection_figures(self.matches).coco["all"].ap50_95 or 0.0

    @property
    def thresholds(self) -> npt.NDArray[np.float64]:
        """The threshold of each label at which its F1 is best, shape [labels].

        A label with few held-out boxes gets the one that is best for all labels together, and where these are few too,
        everyone gets the usual one.
        """
        rankings = self.matches.rankings
        together = _together(rankings)
        common = best_threshold(together) if together.positives >= _ENOUGH_BOXES else USUAL_THRESHOLD
        return np.array([best_threshold(own) if own.positives >= _ENOUGH_BOXES else common for own in rankings])

    @property
    def line(self) -> ScoreLine:
        """What calibrates these scores."""
        return fit_score_line(self.matches.confidences, self.matches.partners != NOBODY)

    def with_line(self, line: ScoreLine) -> "Judgement":
        """The same with calibrated scores: their order stays, and so do all matches."""
        return replace(
            self,
            detections=[replace(found, confidences=line.scores(found.confidences)) for found in self.detections],
            matches=replace(self.matches, confidences=line.scores(self.matches.confidences)),
        )


def judge(
    rows: Rows,
    detections: list[Detections],
    labellings: Sequence[Labelling],
    sizes: Sequence[Size],
    labels: int,
) -> Judgement:
    """Compares what was found on some of the images with what is labelled there.

    Args:
        rows: positions of these images.
        detections: on each of these images.
        labellings: of all images.
        sizes: of all images.
        labels: how many there are.
    """
    images = [labelled_image(row, labellings[row], sizes[row]) for row in rows.tolist()]
    names = [str(label) for label in range(labels)]
    thresholds = np.full(labels, USUAL_THRESHOLD)
    return Judgement(rows, detections, match_detections(images, names, detections, thresholds))


def labelled_image(row: int, labelling: Labelling, size: Size) -> LabelledImage:
    """A training image in the words of those who judge; its boxes are in its pixels."""
    width, height = size
    return LabelledImage(
        image=f"{row:09}",
        source="",
        width=width,
        height=height,
        labels=np.empty(0, np.intp),
        boxes=labelling.boxes.astype(np.float64) * np.array([width, height] * 2),
        box_labels=labelling.labels,
    )


def _together(rankings: Sequence[Ranking]) -> Ranking:
    """All labels as if they were one."""
    return Ranking.of(
        np.concatenate([own.confidences for own in rankings]),
        np.concatenate([own.right for own in rankings]),
        sum(own.positives for own in rankings),
    )
