"""Results of batch predictions as suggestions: what a model said of many images is put before people."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sightsmith.api.labeling.v1.annotation_pb2 import BoundingBox
from sightsmith.api.labeling.v1.suggestion_pb2 import Suggestion
from sightsmith.client.client import Client
from sightsmith.errors import InvalidArgumentError

_MOST_AT_ONCE = 1000


@dataclass
class Tally:
    """What became of the lines of a file: lines that said something of a known image, and those of no image here."""

    images: int = 0
    unknown: int = 0
    unanswered: int = 0


class ImagesBySource:
    """Finds images of a project by where they came from."""

    def __init__(self, client: Client, project: str) -> None:
        self._client = client
        self._project = project

    def find(self, source: str) -> str | None:
        """Name of the image of a source; None if there is none, or several."""
        return self._by_source.get(source)

    @cached_property
    def _by_source(self) -> Mapping[str, str | None]:
        """Listed once, and only if somebody asks."""
        found: dict[str, str | None] = {}
        for dataset in self._client.datasets(self._project):
            for image in self._client.images.list(dataset.name):
                found[image.source] = None if image.source in found else image.name
        return found


def batches_of_suggestions(
    lines: Iterable[bytes], image_of: Callable[[str], str | None], min_confidence: float, tally: Tally
) -> Iterator[list[Suggestion]]:
    """Turns the lines of `results.jsonl` into suggestions, at most 1000 at once and all of one model.

    Those of an image stay together: bringing more of them later would replace the first.

    Args:
        lines: of the file.
        image_of: finds the image of a source, where the line does not name one; None if there is none.
        min_confidence: predictions below it make no suggestion; above 0, at most 1.
        tally: is told what became of the lines.

    Raises:
        InvalidArgumentError: naming the line that is none of such a file.
    """
    waiting: list[Suggestion] = []
    for number, line in enumerate(lines, 1):
        found = _suggestions_of(line, number, image_of, min_confidence, tally)
        if waiting and found and (waiting[0].model != found[0].model or len(waiting) + len(found) > _MOST_AT_ONCE):
            yield waiting
            waiting = []
        waiting += found
    if waiting:
        yield waiting


def _suggestions_of(
    line: bytes, number: int, image_of: Callable[[str], str | None], min_confidence: float, tally: Tally
) -> list[Suggestion]:
    try:
        fields: Mapping[str, Any] = json.loads(line)
        if "error" in fields:
            tally.unanswered += 1
            return []
        image = fields.get("image") or image_of(fields["source"])
        if image is None:
            tally.unknown += 1
            return []
        tally.images += 1
        size = fields.get("image_size", {})
        return [
            Suggestion(
                image=image,
                label=one["label"],
                confidence=one["confidence"],
                box=_pixels(one["box"], size) if "box" in one else None,
                model=fields["model"],
            )
            for one in fields["predictions"]
            if one["confidence"] >= min_confidence
        ]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        problem = f"is no line of the results.jsonl of a batch prediction job: {_why(error)}"
        raise InvalidArgumentError.of_field(f"line {number}", problem) from None


def _why(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it says nothing of {error}"
    return "it is not JSON" if isinstance(error, ValueError) else "it holds something else"


def _pixels(box: Mapping[str, float], size: Mapping[str, int]) -> BoundingBox:
    width, height = size["width"], size["height"]
    return BoundingBox(
        left=box["left"] * width,
        top=box["top"] * height,
        width=box["width"] * width,
        height=box["height"] * height,
    )
