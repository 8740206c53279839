"""Judged images, made up: some right, some wrong, some missed, some empty."""

import io
from datetime import UTC, datetime

import numpy as np
from PIL import Image

from sightsmith_training.engine.evaluation import bounds, label_evaluations
from sightsmith_training.engine.evaluation_result import DetectionEvaluation, Evaluation
from sightsmith_training.engine.judging.advice import TrainingFacts
from sightsmith_training.engine.judging.answers import Detections, LabelledImage
from sightsmith_training.engine.judging.classification_metrics import classification_figures
from sightsmith_training.engine.judging.detection_matches import DetectionMatches, match_detections
from sightsmith_training.engine.judging.detection_metrics import detection_figures
from sightsmith_training.engine.judging.intervals import classification_intervals, detection_intervals
from sightsmith_training.engine.judging.matches import ClassificationMatches, match_labels
from sightsmith_training.engine.reports.custom_labels import TrainingData
from sightsmith_training.engine.reports.image_outcomes import Matches
from sightsmith_training.engine.reports.report import Report
from sightsmith_training.engine.specification import SpecBox, SpecEntry

NOW = datetime(2026, 1, 5, 11, tzinfo=UTC)
WIDTH, HEIGHT = 320, 240


def names(labels: int) -> list[str]:
    return [f"label-{number:03}" for number in range(labels)]


def classified(seed: int, images: int = 12, labels: int = 3, *, single_label: bool = True) -> ClassificationMatches:
    random = np.random.default_rng(seed)
    truth = random.random((images, labels)) < 0.4
    if single_label:
        truth = np.eye(labels, dtype=bool)[random.integers(0, labels, images)]
    scores = 0.35 * truth + 0.65 * random.random((images, labels))
    labelled = [_labelled(number, np.flatnonzero(row)) for number, row in enumerate(truth)]
    return match_labels(labelled, names(labels), scores, np.full(labels, 0.5), single_label=single_label)


def detected(seed: int, images: int = 12, labels: int = 3, iou: float = 0.5) -> DetectionMatches:
    random = np.random.default_rng(seed)
    labelled = [
        _labelled(number, boxes=(boxes := _boxes(random)), box_labels=random.integers(0, labels, len(boxes)))
        for number in range(images)
    ]
    answers = [_answer(random, image, labels) for image in labelled]
    return match_detections(labelled, names(labels), answers, np.full(labels, 0.5), iou)


def data_for(matches: Matches, **changes) -> TrainingData:
    boxes = isinstance(matches, DetectionMatches)
    entries = [entry_of(image, matches.labels, "test") for image in matches.images]
    learned = [entry_of(image, matches.labels, "train") for image in matches.images[:5]]
    use_case = "OBJECT_LOCALIZATION" if boxes else "IMAGE_LEVEL_LABELS"
    given = {"project": "shop", "version": "v3", "use_case": use_case, "entries": [*learned, *entries]}
    return TrainingData(**given | {"object_store_url": "s3://store/data/", "labelled_at": NOW} | changes)


def entry_of(image: LabelledImage, labels, split: str) -> SpecEntry:
    boxes = [
        SpecBox(label=labels[label], left=left, top=top, width=right - left, height=bottom - top)
        for label, (left, top, right, bottom) in zip(image.box_labels, image.boxes.tolist(), strict=True)
    ]
    return SpecEntry(
        image=image.image if split == "test" else f"{image.image}-learned",
        sha256="0" * 64,
        key=f"images/{image.image}",
        split=split,
        labels=[labels[label] for label in image.labels],
        boxes=boxes,
        source=image.source,
        width=image.width,
        height=image.height,
    )


def report_of(matches: Matches, **changes) -> Report:
    given = {
        "title": "shop, version v3",
        "task_reason": "Finds what was labelled.",
        "evaluated_at": NOW,
        "entries": data_for(matches).entries,
        "matches": matches,
        "evaluation": evaluation_of(matches),
    }
    return Report(**given | changes)


def evaluation_of(matches: Matches, **changes) -> Evaluation:
    if isinstance(matches, DetectionMatches):
        figures, intervals = detection_figures(matches), detection_intervals(matches, seed=1, resamples=50)
        coco = figures.coco["all"]
        own = {
            "accuracy": 0.5,
            "detection": DetectionEvaluation(
                iou=matches.iou, map_50=coco.ap50, map_50_95=coco.ap50_95, average_recall=coco.ar100
            ),
        }
    else:
        figures, intervals = classification_figures(matches), classification_intervals(matches, seed=1, resamples=50)
        own = {"accuracy": figures.accuracy, "accuracy_interval": bounds(intervals.accuracy)}
    given = {
        "evaluated_on": "test",
        "macro_precision": figures.macro.precision,
        "macro_recall": figures.macro.recall,
        "macro_f1": figures.macro.f1,
        "macro_f1_interval": bounds(intervals.macro_f1),
        "per_label": label_evaluations(figures.labels, intervals.labels, TrainingFacts([9] * len(matches.labels))),
        "confusion_matrix": [],
        "images": len(matches.images),
        "calibration_error": 0.1,
    }
    return Evaluation(**given | own | changes)


def jpeg(width: int = 32, height: int = 24, colour: str = "#808080", kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, kind)
    return buffer.getvalue()


def _labelled(number: int, labels=(), boxes=(), box_labels=()) -> LabelledImage:
    return LabelledImage(
        image=f"projects/shop/images/{number:04}",
        source=f"s3://shop/pictures/{number:04}.jpg" if number % 2 else "",
        width=WIDTH,
        height=HEIGHT,
        labels=np.array(labels, dtype=np.intp),
        boxes=np.reshape(boxes, (-1, 4)).astype(np.float64),
        box_labels=np.array(box_labels, dtype=np.intp),
    )


def _boxes(random: np.random.Generator) -> np.ndarray:
    count = int(random.integers(0, 4))
    corner = random.integers(0, 150, (count, 2))
    return np.hstack((corner, corner + random.integers(20, 80, (count, 2)))).astype(np.float64)


def _answer(random: np.random.Generator, image: LabelledImage, labels: int) -> Detections:
    seen = random.random(len(image.boxes)) < 0.8
    invented = _boxes(random)
    boxes = np.concatenate((image.boxes[seen] + random.integers(-3, 4, (seen.sum(), 4)), invented))
    said = np.concatenate((image.box_labels[seen], random.integers(0, labels, len(invented)))).astype(np.intp)
    return Detections(boxes, said, random.random(len(boxes)))
