"""COCO: a JSON file with images, annotations and categories in lists of their own.

Layout: https://cocodataset.org/#format-data (object detection). Boxes are `[left, top, width, height]` in pixels. An
annotation with neither a box nor a mask is a label of the whole image, as Datumaro writes them (`coco_labels`).
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from sightsmith_labeling.annotations import Annotation
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.coco_reading import read_coco
from sightsmith_labeling.formats.records import (
    Expect,
    ExportedImage,
    FileTree,
    ImportedImage,
    ReadLimits,
    Rejection,
    Sink,
    expect_nothing,
)

# What is not trained on is what other tools check with.
_NAMES = {Split.TRAIN: "train", Split.TEST: "val"}
_INFO = {"description": "Exported by Sightsmith"}


class Coco:
    """The COCO format."""

    name: ClassVar[str] = "coco"

    def read(
        self, tree: FileTree, limits: ReadLimits, scratch: Path, expect: Expect = expect_nothing
    ) -> Iterator[ImportedImage | Rejection]:
        """Reads every COCO file of an import; see `Format.read`. Its lists may come in any order.

        An image without a split in the name of its COCO file, or of a folder that the file is in, has none.
        """
        return read_coco(tree, limits, scratch, expect)

    def image_path(self, image: ExportedImage) -> str:
        """See `Format.image_path`."""
        return f"images/{image.file_name}"

    def write(self, images: Iterable[ExportedImage], labels: Sequence[str], sink: Sink, scratch: Path) -> None:
        """Writes `annotations/instances_train.json` and `…_val.json`, each if it has images; see `Format.write`."""
        category_ids = {label: number for number, label in enumerate(labels, start=1)}
        with ExitStack() as stack:
            parts = {split: stack.enter_context(_Part(scratch / split.value)) for split in Split}
            annotation_id = 1
            for image_id, image in enumerate(images, start=1):
                parts[image.split].add(image_id, annotation_id, image, category_ids)
                annotation_id += len(image.annotations)
            for split, part in parts.items():
                if part.has_images:
                    with sink.open(f"annotations/instances_{_NAMES[split]}.json") as file:
                        part.copy_to(file, category_ids)


class _Part(ExitStack):
    """The images and the annotations of a split, in a file each until their numbers are known to be all."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        folder.mkdir()
        self._images = _List(self.enter_context((folder / "images").open("w+b")))
        self._annotations = _List(self.enter_context((folder / "annotations").open("w+b")))

    @property
    def has_images(self) -> bool:
        return not self._images.is_empty

    def add(self, image_id: int, annotation_id: int, image: ExportedImage, category_ids: dict[str, int]) -> None:
        """Adds an image, whose annotations get ids from `annotation_id` on."""
        self._images.add(_image(image_id, image))
        for id_, annotation in enumerate(image.annotations, start=annotation_id):
            # A label that is newer than the list of labels still gets an id.
            category_id = category_ids.setdefault(annotation.label, len(category_ids) + 1)
            self._annotations.add(_annotation(id_, image_id, category_id, annotation))

    def copy_to(self, file: BinaryIO, category_ids: Mapping[str, int]) -> None:
        """Writes the COCO file."""
        categories = [{"id": id_, "name": label, "supercategory": ""} for label, id_ in category_ids.items()]
        file.write(b'{"info":' + _dump(_INFO) + b',"licenses":[],"categories":' + _dump(categories) + b',"images":')
        self._images.copy_to(file)
        file.write(b',"annotations":')
        self._annotations.copy_to(file)
        file.write(b"}\n")


class _List:
    """A JSON list that grows in a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.is_empty = True

    def add(self, value: Mapping[str, Any]) -> None:
        self._file.write((b"[\n" if self.is_empty else b",\n") + _dump(value))
        self.is_empty = False

    def copy_to(self, file: BinaryIO) -> None:
        self._file.write(b"[]" if self.is_empty else b"\n]")
        self._file.seek(0)
        shutil.copyfileobj(self._file, file)


def _image(id_: int, image: ExportedImage) -> Mapping[str, Any]:
    entry = {"id": id_, "file_name": image.file_name, "width": image.width, "height": image.height}
    return {key: value for key, value in entry.items() if value is not None} | {"coco_url": image.url}


def _annotation(id_: int, image_id: int, category_id: int, annotation: Annotation) -> Mapping[str, Any]:
    entry: dict[str, Any] = {"id": id_, "image_id": image_id, "category_id": category_id}
    if (box := annotation.box) is not None:
        entry["bbox"] = [box.left, box.top, box.width, box.height]
        entry |= {"area": box.width * box.height, "segmentation": [], "iscrowd": 0}
    return entry


_ENCODER = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))


def _dump(value: Any) -> bytes:
    return _ENCODER.encode(value).encode()
