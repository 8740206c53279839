"""The lines of results, one for each image: as JSON with the fields of the API, and as Ground Truth manifests are."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import msgspec
from google.rpc import code_pb2

from sightsmith.errors import SightsmithError
from sightsmith_inference.batches.sources import Item
from sightsmith_inference.ranking import Box, Prediction

_CLASSIFICATION = "groundtruth/image-classification"
_DETECTION = "groundtruth/object-detection"
_DEPTH = 3  # Channels of a colour image: the key must be there, and nobody reads it.


@dataclass(frozen=True)
class Answered:
    """What became of an image.

    Attributes:
        item: the image.
        model: who answered; empty if nobody was asked.
        outcome: the predictions, or why there are none.
        size: upright width and height in pixels; None if there are no boxes.
    """

    item: Item
    model: str
    outcome: Sequence[Prediction] | SightsmithError
    size: tuple[int, int] | None = None

    @property
    def is_answered(self) -> bool:
        """Whether there are predictions, be it none at all."""
        return not isinstance(self.outcome, SightsmithError)


def json_line(answered: Answered) -> bytes:
    """The line of an image in `results.jsonl`, with its end."""
    line: dict[str, Any] = {"source": answered.item.source}
    if answered.item.image:
        line["image"] = answered.item.image
    if isinstance(answered.outcome, SightsmithError):
        error = answered.outcome
        line["error"] = {"code": code_pb2.Code.Name(error.code), "reason": error.reason, "message": error.message}
    else:
        line["model"] = answered.model
        line["predictions"] = [_fields(prediction) for prediction in answered.outcome]
        if answered.size is not None:
            width, height = answered.size
            line["image_size"] = {"width": width, "height": height}
    return msgspec.json.encode(line) + b"\n"


def manifest_line(answered: Answered, time: datetime, own_url: str) -> bytes:
    """The line of an image in `results.manifest`, with its end.

    An image without predictions has a line with nothing but its `source-ref`, as unlabelled images have.

    Args:
        answered: the image.
        time: that its labels are to bear; in UTC.
        own_url: `s3://` URL of our own object store, without a slash at its end.
    """
    line: dict[str, Any] = {"source-ref": _source_ref(answered.item, own_url)}
    if not isinstance(answered.outcome, SightsmithError):
        common = {"human-annotated": "no", "creation-date": f"{time:%Y-%m-%dT%H:%M:%S}", "job-name": answered.model}
        whole = [prediction for prediction in answered.outcome if prediction.box is None]
        for number, prediction in enumerate(whole):
            line[f"label-{number}"] = number
            line[f"label-{number}-metadata"] = {
                "class-name": prediction.label,
                "confidence": prediction.confidence,
                "type": _CLASSIFICATION,
                **common,
            }
        boxes = [(prediction, prediction.box) for prediction in answered.outcome if prediction.box is not None]
        if boxes and answered.size is not None:
            line["boxes"], metadata = _boxes(boxes, answered.size)
            line["boxes-metadata"] = {**metadata, "type": _DETECTION, **common}
    return msgspec.json.encode(line) + b"\n"


def _fields(prediction: Prediction) -> dict[str, Any]:
    fields: dict[str, Any] = {"label": prediction.label, "confidence": prediction.confidence}
    return fields if prediction.box is None else {**fields, "box": asdict(prediction.box)}


def _source_ref(item: Item, own_url: str) -> str:
    """Manifests know URLs of buckets, and paths of files that come along."""
    if item.key and not item.source.startswith("s3://"):
        return f"{own_url}/{item.key}"
    return item.source.removeprefix("file://").lstrip("/")


def _boxes(boxes: Sequence[tuple[Prediction, Box]], size: tuple[int, int]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The attribute with the boxes in pixels, and what its metadata say of them."""
    width, height = size
    labels = list(dict.fromkeys(prediction.label for prediction, _ in boxes))
    annotations = [
        {
            "class_id": labels.index(prediction.label),
            "left": box.left * width,
            "top": box.top * height,
            "width": box.width * width,
            "height": box.height * height,
        }
        for prediction, box in boxes
    ]
    attribute = {"image_size": [{"width": width, "height": height, "depth": _DEPTH}], "annotations": annotations}
    metadata = {
        "objects": [{"confidence": prediction.confidence} for prediction, _ in boxes],
        "class-map": {str(number): label for number, label in enumerate(labels)},
    }
    return attribute, metadata
