"""pycocotools, which every figure of a detector must agree with."""

import contextlib
import io
from collections.abc import Sequence

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sightsmith_training.engine.judging.answers import Detections, LabelledImage


def coco_evaluation(images: Sequence[LabelledImage], answers: Sequence[Detections], labels: int) -> COCOeval:
    with contextlib.redirect_stdout(io.StringIO()):  # It prints whatever it does.
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [
                {"id": index, "width": image.width, "height": image.height} for index, image in enumerate(images)
            ],
            "annotations": _numbered(
                _object(index, label, box)
                for index, image in enumerate(images)
                for label, box in zip(image.box_labels, image.boxes, strict=True)
            ),
            "categories": [{"id": label, "name": str(label)} for label in range(labels)],
        }
        truth.createIndex()
        found = [
            _object(index, label, box) | {"score": float(confidence)}
            for index, answer in enumerate(answers)
            for label, box, confidence in zip(answer.labels, answer.boxes, answer.confidences, strict=True)
        ]
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def mean_known(values: np.ndarray) -> float | None:
    """pycocotools writes -1 where there is nothing to find."""
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def _object(image: int, label: int, box: np.ndarray) -> dict:
    width, height = float(box[2] - box[0]), float(box[3] - box[1])
    rectangle = [float(box[0]), float(box[1]), width, height]
    return {"image_id": image, "category_id": int(label), "bbox": rectangle, "area": width * height, "iscrowd": 0}


def _numbered(objects) -> list[dict]:
    return [{"id": number, **thing} for number, thing in enumerate(objects, start=1)]
