"""Lines of a manifest as Custom Labels would write them of the images of a snapshot."""

from collections.abc import Iterable, Mapping, Sequence

from sightsmith_training.engine.reports.custom_labels import (
    CLASSIFICATION,
    DETECTION,
    TRAINING_ATTRIBUTE,
    TRAINING_JOB,
    Json,
    Problem,
    TrainingData,
    date,
    pixels,
)
from sightsmith_training.engine.specification import SpecBox, SpecEntry


class ManifestLines:
    """Makes the line of an image: its labels, its boxes, and what is wrong with it."""

    def __init__(self, data: TrainingData) -> None:
        self._data = data
        self._class_ids = _class_ids(data.entries)

    def line(self, entry: SpecEntry) -> Json:
        """The line, with `errors` and `warnings` where there are some."""
        problems = self._data.problems_of(entry)
        line: Json = {"source-ref": self._data.source_ref(entry)}
        for index, label in enumerate(entry.labels):
            line |= self._label(f"{TRAINING_ATTRIBUTE}-{index}", label)
        if entry.boxes:
            line |= self._boxes(f"{TRAINING_ATTRIBUTE}-{len(entry.labels)}", entry, problems)
        return line | _told(problem for problem in problems if problem.box is None)

    def _label(self, attribute: str, label: str) -> Json:
        metadata = {"class-name": label, "confidence": 1.0, "type": CLASSIFICATION, **self._authorship()}
        return {attribute: self._class_ids[label], f"{attribute}-metadata": metadata}

    def _boxes(self, attribute: str, entry: SpecEntry, problems: Sequence[Problem]) -> Json:
        labels = sorted({box.label for box in entry.boxes})
        metadata = {
            "objects": [{"confidence": 1.0} for _ in entry.boxes],
            "class-map": {str(self._class_ids[label]): label for label in labels},
            "type": DETECTION,
            **self._authorship(),
        }
        annotations = [
            self._box(box) | _told(problem for problem in problems if problem.box == position)
            for position, box in enumerate(entry.boxes)
        ]
        value = {"image_size": image_size(entry.width, entry.height), "annotations": annotations}
        return {attribute: value, f"{attribute}-metadata": metadata}

    def _box(self, box: SpecBox) -> Json:
        return annotation(self._class_ids[box.label], box.left, box.top, box.width, box.height)

    def _authorship(self) -> Json:
        return {"human-annotated": "yes", "creation-date": date(self._data.labelled_at), "job-name": TRAINING_JOB}


def image_size(width: int, height: int) -> list[Json]:
    """The size of an image in pixels; the depth must be there, and nobody reads it."""
    return [{"width": width, "height": height, "depth": 3}]


def annotation(class_id: int, left: float, top: float, width: float, height: float) -> Json:
    """A box in pixels."""
    return {
        "class_id": class_id,
        "left": pixels(left),
        "top": pixels(top),
        "width": pixels(width),
        "height": pixels(height),
    }


def _class_ids(entries: Iterable[SpecEntry]) -> Mapping[str, int]:
    labels = {label for entry in entries for label in (*entry.labels, *(box.label for box in entry.boxes))}
    return {label: class_id for class_id, label in enumerate(sorted(labels))}


def _told(problems: Iterable[Problem]) -> Json:
    told: Json = {}
    for problem in problems:
        told.setdefault("warnings" if problem.is_warning else "errors", []).append(problem.as_json())
    return told
