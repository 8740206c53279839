"""Lines of the evaluation snapshot: what is labelled on a test image beside what the model says of it."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sightsmith_training.engine.judging.answers import LabelledImage
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.engine.judging.matches import Outcome
from sightsmith_training.engine.reports.custom_labels import (
    CLASSIFICATION,
    DETECTION,
    EVALUATION_ATTRIBUTE,
    EVALUATION_JOB,
    TRAINING_ATTRIBUTE,
    TRAINING_JOB,
    Json,
    TrainingData,
    date,
)
from sightsmith_training.engine.reports.image_outcomes import Box, ImageOutcomes, Judged, Matches
from sightsmith_training.engine.reports.manifest_lines import annotation, image_size


class EvaluationLines:
    """Makes the lines of all test images, one after another.

    What was missed stands among the predictions with the confidence that the model has in it, below the threshold: a
    box of which the model said nothing has the confidence 0 and stands where it was labelled. Labels that are rightly
    not predicted are left out.
    """

    def __init__(self, data: TrainingData, matches: Matches, evaluated_at: datetime) -> None:
        self._data = data
        self._matches = matches
        self._entries = {entry.image: entry for entry in data.entries}
        self._labelled_by = {
            "job-name": TRAINING_JOB,
            "human-annotated": "yes",
            "creation-date": date(data.labelled_at),
        }
        self._predicted_by = {
            "job-name": EVALUATION_JOB,
            "human-annotated": "no",
            "creation-date": date(evaluated_at),
        }

    def __iter__(self) -> Iterator[Json]:
        outcomes = ImageOutcomes(self._matches)
        for position, image in enumerate(self._matches.images):
            yield {
                "source-ref": self._data.source_ref(self._entries[image.image]),
                "rekognition-custom-labels-object-id": position + 1,
                **self._attributes(image, outcomes.of(position)),
            }

    def _attributes(self, image: LabelledImage, judged: Sequence[Judged]) -> Json:
        if isinstance(self._matches, DetectionMatches):
            return self._labelled_boxes(image, judged) | self._predicted_boxes(image, judged, self._matches.iou)
        attributes: Json = {}
        for index, one in enumerate(one for one in judged if one.is_there):
            details = {"confidence": 1.0, **self._labelled_by}
            attributes |= self._label(f"{TRAINING_ATTRIBUTE}-{index}", one.label, details)
        for index, one in enumerate(judged):
            details = {"confidence": one.confidence, **self._predicted_by, **_outcome(one)}
            attributes |= self._label(f"{EVALUATION_ATTRIBUTE}-{index}", one.label, details)
        return attributes

    def _label(self, attribute: str, label: int, details: Json) -> Json:
        metadata = {"class-name": self._matches.labels[label], "type": CLASSIFICATION, **details}
        return {attribute: label, f"{attribute}-metadata": metadata}

    def _labelled_boxes(self, image: LabelledImage, judged: Sequence[Judged]) -> Json:
        boxes = [(one.label, one.labelled) for one in judged if one.labelled]
        details = {"objects": [{"confidence": 1.0} for _ in boxes], **self._labelled_by}
        return self._boxes(f"{TRAINING_ATTRIBUTE}-0", image, boxes, details)

    def _predicted_boxes(self, image: LabelledImage, judged: Sequence[Judged], iou: float) -> Json:
        boxes = [(one.label, box) for one in judged if (box := one.predicted or one.labelled)]
        details = {
            "confidence": max((one.confidence for one in judged), default=0.0),
            "intersection-over-union": iou,
            "objects": [{"confidence": one.confidence, **_outcome(one)} for one in judged],
            **self._predicted_by,
        }
        return self._boxes(EVALUATION_ATTRIBUTE, image, boxes, details)

    def _boxes(self, attribute: str, image: LabelledImage, boxes: Sequence[tuple[int, Box]], details: Json) -> Json:
        value = {
            "image_size": image_size(image.width, image.height),
            "annotations": [
                annotation(label, left, top, right - left, bottom - top) for label, (left, top, right, bottom) in boxes
            ],
        }
        class_map = {str(label): self._matches.labels[label] for label in sorted({label for label, _ in boxes})}
        return {attribute: value, f"{attribute}-metadata": {"class-map": class_map, "type": DETECTION, **details}}


def _outcome(one: Judged) -> Json:
    return {
        "rekognition-custom-labels-evaluation-details": {
            "version": 1,
            "ground-truth-labelling-jobs": [TRAINING_JOB],
            "is-true-positive": one.outcome is Outcome.TRUE_POSITIVE,
            "is-true-negative": False,
            "is-false-positive": one.outcome is Outcome.FALSE_POSITIVE,
            "is-false-negative": one.outcome is Outcome.FALSE_NEGATIVE,
            "is-present-in-ground-truth": one.is_there,
        }
    }
