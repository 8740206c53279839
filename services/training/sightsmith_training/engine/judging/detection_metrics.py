"""How good a detector is: COCO's figures, and those at the thresholds of the labels."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from sightsmith_training.engine.judging.arrays import Flags, Floats
from sightsmith_training.engine.judging.average_precision import average_precision
from sightsmith_training.engine.judging.counts import ratio
from sightsmith_training.engine.judging.detection_matches import DetectionMatches, match_same_label, positions_by_label
from sightsmith_training.engine.judging.figures import Averages, macro_averages, mean_or_none, micro_averages
from sightsmith_training.engine.judging.overlaps import NOBODY, areas

Size = Literal["all", "small", "medium", "large"]

SIZES: tuple[Size, ...] = get_args(Size)
_AREAS = np.array([(0, 1e5**2), (0, 32**2), (32**2, 96**2), (96**2, 1e5**2)], dtype=np.float64)  # square pixels
_IOUS = np.linspace(0.5, 0.95, 10)


@dataclass(frozen=True)
class CocoFigures:
    """COCO's figures; None where there are no labelled boxes.

    Attributes:
        ap50: average precision where an IoU of 0.5 is enough.
        ap50_95: mean of the average precisions at IoUs of 0.5, 0.55, … 0.95.
        ar100: recall of the 100 surest detections of a label on an image, mean over the same IoUs.
    """

    ap50: float | None
    ap50_95: float | None
    ar100: float | None


@dataclass(frozen=True)
class DetectedLabelFigures:
    """One label's figures; precision, recall, F1 and the counts at its threshold and the IoU of the matches.

    Attributes:
        label: its name.
        threshold: the lowest confidence at which a detection counts.
        precision: share of its detections that are right; 0 where there are none.
        recall: share of its labelled boxes that are found; 0 where there are none.
        f1: harmonic mean of the two.
        true_positives: in boxes.
        false_positives: in boxes.
        false_negatives: in boxes.
        images: how many of the judged images have a labelled box of it.
        boxes: how many labelled boxes there are.
        coco: without a threshold.
    """

    label: str
    threshold: float
    precision: float
    recall: float
    f1: float
    true_positives: int
    false_positives: int
    false_negatives: int
    images: int
    boxes: int
    coco: CocoFigures


@dataclass(frozen=True)
class DetectionFigures:
    """How good a detector is on some images.

    Attributes:
        iou: the overlap at which a detection counts as right for everything but `coco`.
        macro: means over the labels that have labelled boxes here.
        micro: of all detections together.
        coco: means over the same labels as `macro`, by size of the box: small is below 32 × 32 pixels of the
            original image, large above 96 × 96.
        labels: in the order of the model.
    """

    iou: float
    macro: Averages
    micro: Averages
    coco: dict[Size, CocoFigures]
    labels: list[DetectedLabelFigures]


@dataclass(frozen=True)
class _CocoTables:
    """Both of shape [sizes, IoUs, labels]; NaN where there are no labelled boxes."""

    precision: Floats
    recall: Floats

    def figures(self, size: int, labels: slice) -> CocoFigures:
        return CocoFigures(
            ap50=mean_or_none(self.precision[size, :1, labels]),
            ap50_95=mean_or_none(self.precision[size, :, labels]),
            ar100=mean_or_none(self.recall[size, :, labels]),
        )


def detection_figures(matches: DetectionMatches) -> DetectionFigures:
    """Computes every figure of a detector."""
    by_image = matches.counts
    images = (by_image.positives > 0).sum(axis=0)
    counts = by_image.total(axis=0)
    precision, recall, f1 = counts.precision, counts.recall, counts.f1
    tables = _coco_tables(matches)
    labels = [
        DetectedLabelFigures(
            label=name,
            threshold=float(matches.thresholds[label]),
            precision=float(precision[label]),
            recall=float(recall[label]),
            f1=float(f1[label]),
            true_positives=int(counts.true_positives[label]),
            false_positives=int(counts.false_positives[label]),
            false_negatives=int(counts.false_negatives[label]),
            images=int(images[label]),
            boxes=int(counts.positives[label]),
            coco=tables.figures(0, slice(label, label + 1)),
        )
        for label, name in enumerate(matches.labels)
    ]
    return DetectionFigures(
        iou=matches.iou,
        macro=macro_averages(counts),
        micro=micro_averages(counts),
        coco={size: tables.figures(index, slice(None)) for index, size in enumerate(SIZES)},
        labels=labels,
    )


def _coco_tables(matches: DetectionMatches) -> _CocoTables:
    """Matches again at every IoU and for every size, and adds up."""
    least_iou = np.tile(_IOUS, len(SIZES))
    avoided = _outside(matches.truths.boxes)
    partners = match_same_label(matches.detections, matches.truths, matches.pairs, least_iou, avoided)
    unmatched = partners == NOBODY
    right = ~unmatched & ~np.take_along_axis(np.pad(avoided, ((0, 0), (0, 1))), partners, axis=1)
    wrong = unmatched & ~_outside(matches.detections.boxes)

    surest_first = np.argsort(-matches.confidences, kind="stable")
    detections = positions_by_label(matches.detections.labels[surest_first], len(matches.labels))
    truths = positions_by_label(matches.truths.labels, len(matches.labels))
    precision, recall = [], []
    for own, own_truths in zip(detections, truths, strict=True):
        own_right = right[:, surest_first[own]].astype(np.float64)
        positives = (~avoided[:, own_truths]).sum(axis=1).astype(np.float64)
        precision.append(average_precision(own_right, wrong[:, surest_first[own]].astype(np.float64), positives))
        recall.append(np.where(positives > 0, ratio(own_right.sum(axis=1), positives), np.nan))
    shape = (len(SIZES), len(_IOUS), len(matches.labels))
    return _CocoTables(np.stack(precision, axis=-1).reshape(shape), np.stack(recall, axis=-1).reshape(shape))


def _outside(boxes: Floats) -> Flags:
    """Which boxes are not of the size in question; shape [sizes × IoUs, boxes]."""
    smallest, largest = _AREAS[:, :1], _AREAS[:, 1:]
    outside = (areas(boxes) < smallest) | (areas(boxes) > largest)
    return np.repeat(outside, len(_IOUS), axis=0)
