"""What a finished model says of images: its exported file, run as inference runs it. Needs no torch."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import obstore
from obstore.store import ObjectStore, from_url

from sightsmith_training.engine.contract import Answers, Progress, Violation
from sightsmith_training.engine.detection.detecting import detect, onnx_finder
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.evaluation_result import ImagePrediction
from sightsmith_training.engine.progress import ProgressMeter
from sightsmith_training.engine.reading import UnusableImage, read_image, too_many_unusable
from sightsmith_training.engine.samples import Pixels
from sightsmith_training.engine.specification import AnsweringSpec, SpecEntry
from sightsmith_training.engine.stored_detections import as_stored, detected_boxes
from sightsmith_training.engine.variants.running import open_model

Answerer = Callable[[Sequence[SpecEntry], Pixels], list[ImagePrediction]]
"""Answers images that were decoded to shape [images, side, side, 3]."""

# Each is read, decoded and answered by one core, and then forgotten: however many images there are, a handful of them
# are in memory, and reading some goes on beside answering others.
_AT_ONCE = 4


def answer(spec: AnsweringSpec, send: Callable[[Progress], None]) -> Answers:
    """Lets a model answer images.

    Args:
        spec: which ones.
        send: called with each progress message.

    Raises:
        TrainingError: TOO_MANY_UNUSABLE_IMAGES as soon as there are too many; TRAINING_FAILED if the model's file is
            gone or is not the one that was exported.
    """
    store, meter = from_url(spec.object_store_url), ProgressMeter({"evaluating": 1.0}, send)
    meter.enter("evaluating")
    answerer = _answerer(spec, _model(store, spec))
    parts = [spec.entries[start : start + _AT_ONCE] for start in range(0, len(spec.entries), _AT_ONCE)]
    predictions: list[ImagePrediction] = []
    unusable: list[UnusableImage] = []
    with ThreadPoolExecutor(spec.threads or max(1, len(os.sched_getaffinity(0)) // 2)) as pool:
        for answered, left_out in pool.map(lambda part: _answer_part(spec, store, answerer, part), parts):
            predictions += answered
            unusable += left_out
            if len(unusable) > spec.max_unusable_fraction * len(spec.entries):
                pool.shutdown(wait=False, cancel_futures=True)
                raise too_many_unusable(unusable, len(spec.entries), spec.max_unusable_fraction)
            meter.advance((len(predictions) + len(unusable)) / len(spec.entries))
    meter.finish()
    return Answers(
        predictions=predictions,
        unusable_images=[Violation(field=image.entry.image, description=image.problem) for image in unusable],
    )


def _model(store: ObjectStore, spec: AnsweringSpec) -> bytes:
    try:
        model = bytes(obstore.get(store, spec.model_key).bytes())
    except FileNotFoundError:
        raise TrainingError(
            "TRAINING_FAILED", f"the model's file {spec.model_key} is not in the object store"
        ) from None
    if hashlib.sha256(model).hexdigest() != spec.model_sha256:
        raise TrainingError("TRAINING_FAILED", f"the model's file {spec.model_key} is not the one that was exported")
    return model


def _answerer(spec: AnsweringSpec, model: bytes) -> Answerer:
    if spec.task == "detection":
        find = onnx_finder(model, 1)

        def answer_by_boxes(entries: Sequence[SpecEntry], pixels: Pixels) -> list[ImagePrediction]:
            found = as_stored(detect(find, pixels, [(entry.width, entry.height) for entry in entries]))
            boxes = [detected_boxes(detections, spec.labels) for detections in found]
            return [
                _prediction(entry).model_copy(
                    update={"detections": own, "confidence": max((box.confidence for box in own), default=0.0)}
                )
                for entry, own in zip(entries, boxes, strict=True)
            ]

        return answer_by_boxes
    run = open_model(model)

    def answer_by_labels(entries: Sequence[SpecEntry], pixels: Pixels) -> list[ImagePrediction]:
        scores = np.clip(run(pixels)[0].astype(np.float64), 0, 1)
        return [
            _prediction(entry).model_copy(update={"scores": row.tolist(), "confidence": float(row.max())})
            for entry, row in zip(entries, scores, strict=True)
        ]

    return answer_by_labels


def _answer_part(
    spec: AnsweringSpec, store: ObjectStore, answerer: Answerer, entries: Sequence[SpecEntry]
) -> tuple[list[ImagePrediction], list[UnusableImage]]:
    read = [(entry, read_image(store, spec.image_side, spec.image_limits, entry)) for entry in entries]
    unusable = [image for _, image in read if isinstance(image, UnusableImage)]
    usable = [(entry, image) for entry, image in read if not isinstance(image, UnusableImage)]
    if not usable:
        return [], unusable
    return answerer([entry for entry, _ in usable], np.stack([image for _, image in usable])), unusable


def _prediction(entry: SpecEntry) -> ImagePrediction:
    """What is there, so far without what the model says of it."""
    return ImagePrediction(
        image=entry.image,
        source=entry.source,
        true_labels=sorted({box.label for box in entry.boxes}) or entry.labels,
        predicted_labels=[],
        confidence=0.0,
        scores=[],
        width=entry.width,
        height=entry.height,
        true_boxes=entry.boxes,
    )
