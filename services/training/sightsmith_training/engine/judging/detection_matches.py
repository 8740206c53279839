"""What a detector says of images beside the boxes labelled on them: the one set of matches behind all its figures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.judging.answers import Boxes, Detections, LabelledImage, Positions
from sightsmith_training.engine.judging.arrays import Flags, Floats
from sightsmith_training.engine.judging.counts import Counts
from sightsmith_training.engine.judging.overlaps import NOBODY, Pairs, match_greedily, pair_up, ranks_within
from sightsmith_training.engine.judging.rankings import Ranking

COUNTING_IOU = 0.5
"""The overlap at which a detection counts as right, where nothing else is stated."""

MOST_DETECTIONS = 100
"""Detections of one label that count on one image, the surest of them, as in COCO's evaluation."""


@dataclass(frozen=True)
class BoxTable:
    """The boxes of all images, one after another.

    Attributes:
        images: shape [boxes]; the position of the image.
        labels: shape [boxes].
        boxes: shape [boxes, 4].
    """

    images: Positions
    labels: Positions
    boxes: Boxes

    def of(self, positions: Positions) -> "BoxTable":
        """Some of the boxes."""
        return BoxTable(self.images[positions], self.labels[positions], self.boxes[positions])


@dataclass(frozen=True)
class DetectionMatches:
    """Every detection with the labelled box that it found, and every labelled box with what found it.

    Detections are matched without a threshold, per image and label, the surest first. A threshold takes away the
    least sure ones, which changes nothing for the others; so other thresholds need only
    `dataclasses.replace(matches, thresholds=…)`.

    Attributes:
        images: the judged images.
        labels: names, in the order of all arrays.
        thresholds: shape [labels]; the lowest confidence at which a detection counts.
        iou: the overlap at which a detection is right.
        truths: the labelled boxes, image after image by name.
        detections: the boxes that the detector gave, image after image by name, the surest of an image first.
        confidences: shape [detections].
        pairs: all that overlap by 0.5, or by `iou` where that is less, whatever their labels.
        partners: shape [detections]; the labelled box that the detection found, or `NOBODY`.
    """

    images: tuple[LabelledImage, ...]
    labels: tuple[str, ...]
    thresholds: Floats
    iou: float
    truths: BoxTable
    detections: BoxTable
    confidences: Floats
    pairs: Pairs
    partners: Positions

    @property
    def predicted(self) -> Flags:
        """Whether the detection is at or above the threshold of its label; shape [detections]."""
        return np.asarray(self.confidences >= self.thresholds[self.detections.labels])

    @property
    def true_positives(self) -> Flags:
        """Shape [detections]."""
        return np.asarray(self.predicted & (self.partners != NOBODY))

    @property
    def false_positives(self) -> Flags:
        """Shape [detections]."""
        return np.asarray(self.predicted & (self.partners == NOBODY))

    @property
    def missed(self) -> Flags:
        """Which labelled boxes are false negatives; shape [truths]."""
        missed = np.ones(len(self.truths.labels), dtype=np.bool_)
        missed[self.partners[self.true_positives]] = False
        return missed

    @property
    def finders(self) -> Positions:
        """The detection that found a labelled box, be it below its threshold, or `NOBODY`; shape [truths]."""
        finders = np.full(len(self.truths.labels), NOBODY, dtype=np.intp)
        found = np.flatnonzero(self.partners != NOBODY)
        finders[self.partners[found]] = found
        return finders

    @property
    def truth_confidences(self) -> Floats:
        """How sure the detector is of each labelled box; 0 where it gave none for it; shape [truths]."""
        return np.where(self.finders == NOBODY, 0.0, np.append(self.confidences, 0.0)[self.finders])

    @property
    def partner_ious(self) -> Floats:
        """Overlap of a detection with the labelled box that it found; 0 where it found none; shape [detections]."""
        ious = np.zeros(len(self.confidences))
        own = self.pairs.truth == self.partners[self.pairs.detection]
        ious[self.pairs.detection[own]] = self.pairs.iou[own]
        return ious

    @property
    def counts(self) -> Counts:
        """Counted in boxes; shape [images, labels]."""
        return Counts(
            self._tally(self.detections, self.true_positives),
            self._tally(self.detections, self.false_positives),
            self._tally(self.truths, self.missed),
        )

    @property
    def truth_counts(self) -> Floats:
        """How many boxes of each label are on each image; shape [images, labels]."""
        return self._tally(self.truths, np.ones(len(self.truths.labels), dtype=np.bool_))

    @property
    def rankings(self) -> list[Ranking]:
        """By label, what a threshold could let through."""
        right = self.partners != NOBODY
        positives = np.bincount(self.truths.labels, minlength=len(self.labels))
        return [
            Ranking.of(self.confidences[own], right[own], int(positives[label]))
            for label, own in enumerate(positions_by_label(self.detections.labels, len(self.labels)))
        ]

    @property
    def confusion(self) -> npt.NDArray[np.int64]:
        """How labelled boxes (rows) were predicted (columns); the last row and column stand for the background.

        Labelled boxes that were missed and false detections become partners whatever their labels, the surest
        detection first. So the diagonal holds the true positives, a row sums to the labelled boxes of a label and
        a column to its predictions. Shape [labels + 1, labels + 1].
        """
        background = len(self.labels)
        partners = np.where(self.true_positives, self.partners, self.mistaken_for)
        seen_as = np.full(len(self.truths.labels), background)
        seen_as[partners[partners != NOBODY]] = self.detections.labels[partners != NOBODY]
        invented = self.predicted & (partners == NOBODY)
        matrix = np.zeros((background + 1, background + 1), dtype=np.int64)
        np.add.at(matrix, (self.truths.labels, seen_as), 1)
        np.add.at(matrix, (background, self.detections.labels[invented]), 1)
        return matrix

    @property
    def mistaken_for(self) -> Positions:
        """For each false positive the missed box of another label that lies there, or `NOBODY`; shape [detections]."""
        pairs = self.pairs
        left_over = pairs.of(self.false_positives[pairs.detection] & self.missed[pairs.truth])
        nothing = np.zeros((1, len(self.truths.labels)), dtype=np.bool_)
        return np.asarray(match_greedily(left_over, self.detections.images, np.array([self.iou]), nothing)[0])

    def _tally(self, table: BoxTable, wanted: Flags) -> Floats:
        shape = (len(self.images), len(self.labels))
        cells = table.images[wanted] * shape[1] + table.labels[wanted]
        return np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)


def match_detections(
    images: Sequence[LabelledImage],
    labels: Sequence[str],
    detections: Sequence[Detections],
    thresholds: npt.NDArray[np.floating],
    iou: float = COUNTING_IOU,
) -> DetectionMatches:
    """Finds out which detection found which labelled box.

    Neither the order of the images nor that of equally sure detections on different images matters.

    Args:
        images: what is labelled.
        labels: names, in the order of the model.
        detections: for each image.
        thresholds: shape [labels].
        iou: the overlap at which a detection is right, above 0 and at most 1.

    Raises:
        ValueError: if the lengths do not fit each other or a confidence is not a number.
    """
    if len(images) != len(detections):
        raise ValueError(f"{len(images)} images, {len(detections)} detections")
    found = _gather([answer.labels for answer in detections], [answer.boxes for answer in detections])
    confidences = np.concatenate([np.empty(0), *(answer.confidences for answer in detections)])
    truths = _gather([image.box_labels for image in images], [image.boxes for image in images])
    return match_boxes(images, labels, truths, found, confidences, thresholds, iou)


def match_boxes(
    images: Sequence[LabelledImage],
    labels: Sequence[str],
    truths: BoxTable,
    detections: BoxTable,
    confidences: npt.NDArray[np.floating],
    thresholds: npt.NDArray[np.floating],
    iou: float = COUNTING_IOU,
) -> DetectionMatches:
    """Does what `match_detections` does, with the boxes of all images in tables.

    Args:
        images: of the tables.
        labels: names, in the order of the model.
        truths: the labelled boxes, in any order.
        detections: the boxes that the detector gave, in any order.
        confidences: shape [detections].
        thresholds: shape [labels].
        iou: the overlap at which a detection is right, above 0 and at most 1.

    Raises:
        ValueError: if there is not one threshold for each label, or a confidence is not a number.
    """
    if thresholds.shape != (len(labels),):
        raise ValueError(f"{len(labels)} labels, {thresholds.shape} thresholds")
    if np.isnan(confidences).any():
        raise ValueError("some confidences are not numbers")
    place = np.empty(len(images), dtype=np.intp)
    place[sorted(range(len(images)), key=lambda position: images[position].image)] = np.arange(len(images))
    truths = truths.of(np.argsort(place[truths.images], kind="stable"))
    surest = _surest_first(detections, confidences, place)
    found = detections.of(surest)
    scores: Floats = np.clip(confidences[surest].astype(np.float64), 0, 1)
    pairs = pair_up(found.boxes, truths.boxes, place[found.images], place[truths.images], min(iou, COUNTING_IOU))
    return DetectionMatches(
        images=tuple(images),
        labels=tuple(labels),
        thresholds=thresholds.astype(np.float64),
        iou=iou,
        truths=truths,
        detections=found,
        confidences=scores,
        pairs=pairs,
        partners=match_same_label(found, truths, pairs, np.array([iou]), np.zeros((1, len(truths.labels)), np.bool_))[
            0
        ],
    )


def match_at(matches: DetectionMatches, iou: float) -> DetectionMatches:
    """The same boxes matched at another IoU, which is not less than `COUNTING_IOU`: who overlaps whom is known."""
    nothing = np.zeros((1, len(matches.truths.labels)), dtype=np.bool_)
    partners = match_same_label(matches.detections, matches.truths, matches.pairs, np.array([iou]), nothing)[0]
    return replace(matches, iou=iou, partners=partners)


def match_same_label(
    detections: BoxTable, truths: BoxTable, pairs: Pairs, least_iou: Floats, avoided: Flags
) -> npt.NDArray[np.intp]:
    """Matches detections with labelled boxes of their label; see `match_greedily`."""
    alike = detections.labels[pairs.detection] == truths.labels[pairs.truth]
    groups = detections.images * (detections.labels.max(initial=0) + 1) + detections.labels
    return match_greedily(pairs.of(alike), groups, least_iou, avoided)


def positions_by_label(labels: Positions, count: int) -> list[Positions]:
    """For each of `count` labels the positions at which it stands, ascending."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(1, count)))


def _surest_first(detections: BoxTable, confidences: npt.NDArray[np.floating], place: Positions) -> Positions:
    """The detections that count, the surest of an image first; `place` has shape [images]."""
    order = np.lexsort((-confidences, place[detections.images]))
    groups = detections.images * (detections.labels.max(initial=0) + 1) + detections.labels
    return np.asarray(order[ranks_within(groups[order]) < MOST_DETECTIONS])


def _gather(labels: Sequence[Positions], boxes: Sequence[Boxes]) -> BoxTable:
    return BoxTable(
        images=np.repeat(np.arange(len(labels)), [len(own) for own in labels]),
        labels=np.concatenate([np.empty(0, np.intp), *labels]),
        boxes=np.concatenate([np.empty((0, 4)), *boxes]),
    )
