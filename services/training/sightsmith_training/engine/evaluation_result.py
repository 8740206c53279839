"""What is told of how good a model is. Like the contract, it needs neither torch nor gRPC."""

from typing import Literal

from pydantic import BaseModel

from sightsmith_training.engine.specification import FROZEN, Share, SpecBox

EvaluatedOn = Literal["test", "cross_validation", "unseen"]


class _Frozen(BaseModel):
    model_config = FROZEN


class DetectedBox(SpecBox):
    """A box that a detector gave, and how sure it is of it."""

    confidence: Share


class Interval(_Frozen):
    """Between which bounds a figure would lie for 95 of 100 other sets of as many images."""

    lower: Share
    upper: Share


class LabelEvaluation(_Frozen):
    """One label's figures.

    Attributes:
        label: its name.
        precision: share of its predictions that are right; 0 where there are none.
        recall: share of its images on which it is predicted; 0 where there are none.
        f1: harmonic mean of the two.
        images: how many evaluated images truly carry it.
        threshold: the score from which on it is predicted.
        true_positives: images that carry it and on which it is predicted.
        false_positives: images that do not carry it and on which it is predicted.
        false_negatives: images that carry it and on which it is not predicted.
        average_precision: over all thresholds; None where no image carries it.
        precision_interval: of the precision.
        recall_interval: of the recall.
        f1_interval: of the F1.
        training_images: how many images that the model learned from carry it; 0 where that is not known, as in
            evaluations of old.
        true_negatives: images that do not carry it and on which it is not predicted; None for detectors, and in
            evaluations of old.
    """

    label: str
    precision: Share
    recall: Share
    f1: Share
    images: int
    threshold: Share = 0.0
    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0
    average_precision: Share | None = None
    precision_interval: Interval | None = None
    recall_interval: Interval | None = None
    f1_interval: Interval | None = None
    training_images: int = 0
    true_negatives: int | None = None


class Averages(_Frozen):
    """Figures of all labels together."""

    precision: Share
    recall: Share
    f1: Share


class Advice(_Frozen):
    """One thing that would help.

    Attributes:
        code: of what kind it is.
        text: what to do and why.
        labels: that it is about.
        images: the first of those that show why.
        image_count: how many show why; 0 in evaluations of old, which have them all.
    """

    code: str
    text: str
    labels: list[str] = []
    images: list[str] = []
    image_count: int = 0


class DetectionEvaluation(_Frozen):
    """The figures of COCO's evaluation, for at most 100 detections a label and image.

    Attributes:
        iou: overlap (intersection over union) at which a detection counts as right in precision, recall and F1.
        map_50: mean over the labels of the average precision at an overlap of 0.5.
        map_50_95: the same, mean over the overlaps 0.5, 0.55 … 0.95.
        average_recall: mean over the labels and the same overlaps of the highest recall (`AR@100`).
        map_interval: of `map_50`.
        map_small: `map_50_95` of boxes of less than 32 × 32 pixels of the original image; None where none is labelled,
            and in evaluations of old.
        map_medium: the same of those up to 96 × 96 pixels.
        map_large: the same of larger ones.
    """

    iou: Share
    map_50: Share | None
    map_50_95: Share | None
    average_recall: Share | None
    map_interval: Interval | None = None
    map_small: Share | None = None
    map_medium: Share | None = None
    map_large: Share | None = None


class LearningPoint(_Frozen):
    """The score, on images that they did not learn from, of models that learned from so many images.

    Attributes:
        images: to learn from.
        score: macro-F1 of a classifier; of a detector, the mean average precision at an overlap of 0.5.
        interval: of the score; None where it is not known.
    """

    images: int
    score: Share
    interval: Interval | None = None


class Evaluation(_Frozen):
    """How well the model does.

    Attributes:
        evaluated_on: `test`, or `cross_validation` (out-of-fold predictions of the training images, averaged over the
            repetitions) where the snapshot has no test images, or `unseen` images of any snapshot, which the model did
            not learn from.
        accuracy: share of images for which exactly their labels are predicted, or of a detector, without a mistake.
        macro_precision: mean over the labels that have images here.
        macro_recall: mean over the same labels.
        macro_f1: mean over the same labels.
        per_label: in the order of `TrainingResult.labels`.
        confusion_matrix: counts; row = true label, column = predicted label, the last of each standing for none. Where
            images may carry several labels, one that is missed counts as taken for each that is wrongly predicted.
            Empty in evaluations of old of such models.
        images: how many were evaluated; 0 in evaluations of old.
        mean_average_precision: mean over the same labels as above.
        accuracy_interval: of the accuracy.
        macro_f1_interval: of the macro-F1.
        calibration_error: how far confidences are from the share that is right, 0 to 1.
        advice: what would help, the most important first.
        detection: what only detectors have; None for classifiers.
        training_images: how many the model learned from; 0 if that is not known.
        learning_curve: scores of models that learned from parts of the training images, few images first.
        cross_validated: the headline figure on training images that the model did not learn from, before it was judged
            by these; None if it is not known.
        micro: figures of all predictions together; None in evaluations of old.
    """

    evaluated_on: EvaluatedOn
    accuracy: Share
    macro_precision: Share
    macro_recall: Share
    macro_f1: Share
    per_label: list[LabelEvaluation]
    confusion_matrix: list[list[int]]
    images: int = 0
    mean_average_precision: Share | None = None
    accuracy_interval: Interval | None = None
    macro_f1_interval: Interval | None = None
    calibration_error: float | None = None
    advice: list[Advice] = []
    detection: DetectionEvaluation | None = None
    training_images: int = 0
    learning_curve: list[LearningPoint] = []
    cross_validated: Share | None = None
    micro: Averages | None = None


class ImagePrediction(_Frozen):
    """What the model says of one evaluated image.

    Attributes:
        image: resource name of the image.
        source: where it came from.
        true_labels: what it carries, in the order of the names; the model may not know all of it.
        predicted_labels: what it was given, the surest first.
        confidence: of the surest label; 0 where a detector finds nothing.
        scores: in the order of `TrainingResult.labels`; empty for detectors.
        width: of the upright image in pixels; 0 if it is not known.
        height: likewise.
        true_boxes: what is labelled on it; empty for classifiers.
        detections: every box the detector gives with a confidence that people may ask for, the surest first; those
            below their threshold too, so that thresholds can be changed later.
    """

    image: str
    source: str
    true_labels: list[str]
    predicted_labels: list[str]
    confidence: Share
    scores: list[float]
    width: int = 0
    height: int = 0
    true_boxes: list[SpecBox] = []
    detections: list[DetectedBox] = []
