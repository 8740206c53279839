"""Label Studio: lists of tasks in JSON, with regions in percent of their image.

Layout: https://labelstud.io/guide/task_format and https://labelstud.io/guide/export.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from sightsmith_labeling.annotations import Annotation
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.label_studio_reading import SOURCE_KEY, read_tasks
from sightsmith_labeling.formats.records import (
    Expect,
    ExportedImage,
    FileTree,
    FormatError,
    ImportedImage,
    Place,
    ReadLimits,
    Rejection,
    Sink,
    expect_nothing,
)
from sightsmith_labeling.formats.split_files import write_by_split

_FILES = {Split.TRAIN: "tasks_train.json", Split.TEST: "tasks_test.json"}
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_PERCENT = 100


class LabelStudio:
    """Reads tasks, in Label Studio's JSON and in JSON_MIN, and writes tasks with a labelling configuration.

    Choices are labels of the whole image; rectangles are boxes, and so are the boxes around turned rectangles, polygons
    and ellipses, with a note. Of several annotations of a task, that which is marked as ground truth counts, or else
    the latest; skipped ones do not. Predictions are not imported: nobody has accepted them.
    """

    name: ClassVar[str] = "label_studio"

    def read(
        self, tree: FileTree, limits: ReadLimits, scratch: Path, expect: Expect = expect_nothing
    ) -> Iterator[ImportedImage | Rejection]:
        """Reads every JSON file of an import; see `Format.read`."""
        return read_tasks(tree, limits)

    def image_path(self, image: ExportedImage) -> str:
        """Where an image's bytes belong in an export."""
        return f"images/{image.file_name}"

    def write(self, images: Iterable[ExportedImage], labels: Sequence[str], sink: Sink, scratch: Path) -> None:
        """Writes the tasks of each split, and `labeling_config.xml` for the project that takes them.

        Raises:
            FormatError: if an image has boxes and its size is not known.
        """
        tasks = ((image.split, _JSON.encode(_task(number, image)).encode()) for number, image in enumerate(images, 1))
        write_by_split(tasks, _FILES, sink, scratch, before=b"[\n", between=b",\n", after=b"\n]\n")
        with sink.open("labeling_config.xml") as file:
            file.write(_configuration(labels).encode())


def _task(number: int, image: ExportedImage) -> dict[str, Any]:
    results = list(_results(image))
    return {
        "id": number,
        "data": {"image": _image_url(image), SOURCE_KEY: image.source},
        "annotations": [{"id": number, "was_cancelled": False, "result": results}] if results else [],
        "predictions": [],
    }


def _image_url(image: ExportedImage) -> str:
    """Where Label Studio finds the image: in the object store, or in a folder that it has as local storage."""
    return image.url if "://" in image.url else f"/data/local-files/?d={quote(image.url)}"


def _results(image: ExportedImage) -> Iterator[dict[str, Any]]:
    choices = [annotation.label for annotation in image.annotations if annotation.box is None]
    if choices:
        yield {
            "id": "labels",
            "type": "choices",
            "from_name": "labels",
            "to_name": "image",
            "value": {"choices": choices},
        }
    for annotation in image.annotations:
        if annotation.box is not None:
            yield _region(annotation, image)


def _region(annotation: Annotation, image: ExportedImage) -> dict[str, Any]:
    if image.width is None or image.height is None:
        message = (
            f"the size of {image.source} is not known yet, and boxes in percent need it: "
            "wait until its bytes are there, or export only images that are ready"
        )
        raise FormatError("ERROR_UNKNOWN_IMAGE_SIZE", message, Place(image.file_name))
    box = vars(annotation.box)
    return {
        "id": f"box-{annotation.id}",
        "type": "rectanglelabels",
        "from_name": "boxes",
        "to_name": "image",
        "original_width": image.width,
        "original_height": image.height,
        "image_rotation": 0,
        "value": {
            "x": _PERCENT * box["left"] / image.width,
            "y": _PERCENT * box["top"] / image.height,
            "width": _PERCENT * box["width"] / image.width,
            "height": _PERCENT * box["height"] / image.height,
            "rotation": 0,
            "rectanglelabels": [annotation.label],
        },
    }


def _configuration(labels: Sequence[str]) -> str:
    choices = "".join(f"    <Choice value={quoteattr(label)}/>\n" for label in labels)
    boxes = "".join(f"    <Label value={quoteattr(label)}/>\n" for label in labels)
    return (
        "<View>\n"
        '  <Image name="image" value="$image"/>\n'
        f'  <Choices name="labels" toName="image" choice="multiple">\n{choices}  </Choices>\n'
        f'  <RectangleLabels name="boxes" toName="image">\n{boxes}  </RectangleLabels>\n'
        "</View>\n"
    )
