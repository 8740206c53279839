"""Writing YOLO data sets."""

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import yaml

from sightsmith_labeling.annotations import Box
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.fields import shown
from sightsmith_labeling.formats.records import ExportedImage, Sink
from sightsmith_labeling.formats.unsayable import unsayable
from sightsmith_labeling.formats.yolo_layout import label_path

_FORMAT = "YOLO"
_KEYS = {"train": Split.TRAIN, "val": Split.TEST}
_LISTS = {Split.TRAIN: "train.txt", Split.TEST: "val.txt"}


class YoloWriter(ExitStack):
    """Writes a data set of boxes, or one of labels of whole images: whichever the first annotation is."""

    def __init__(self, labels: Sequence[str], sink: Sink, scratch: Path) -> None:
        super().__init__()
        self._classes = {label: number for number, label in enumerate(labels)}
        self._sink = sink
        self._lists = {split: self.enter_context((scratch / name).open("w+b")) for split, name in _LISTS.items()}
        self._box_files: set[str] = set()
        self._has_boxes: bool | None = None

    def add(self, image: ExportedImage, path: str) -> None:
        """Adds an image, whose bytes belong to `path`.

        Raises:
            FormatError: if YOLO cannot say what it holds.
        """
        self._lists[image.split].write(f"./{path}\n".encode())
        if not image.annotations:
            return
        kinds = {annotation.box is not None for annotation in image.annotations}
        if self._has_boxes is None:
            self._has_boxes = next(iter(kinds))
        if kinds != {self._has_boxes}:
            reason = "YOLO has boxes or labels of whole images, not both; COCO and CSV have both"
            raise unsayable(image, _FORMAT, reason)
        if self._has_boxes:
            self._write_boxes(image, label_path(path))
        else:
            _require_folder(image)

    def finish(self) -> None:
        """Writes what tells of the data set as a whole."""
        lists = [split for split, file in self._lists.items() if file.tell()]
        for split in lists:
            self._lists[split].seek(0)
            with self._sink.open(_LISTS[split]) as file:
                shutil.copyfileobj(self._lists[split], file)
        if self._has_boxes is not False:
            # Ultralytics asks for both; a split that has no images is stood in for by the other.
            places = (
                {key: _LISTS[split if split in lists else lists[0]] for key, split in _KEYS.items()} if lists else {}
            )
            names = {number: label for label, number in self._classes.items()}
            with self._sink.open("data.yaml") as file:
                yaml.safe_dump(places | {"names": names}, file, allow_unicode=True, encoding="utf-8", sort_keys=False)

    def _write_boxes(self, image: ExportedImage, path: str) -> None:
        if path in self._box_files:
            reason = "another image has the same name but for its suffix, which YOLO does not tell apart"
            raise unsayable(image, _FORMAT, reason)
        self._box_files.add(path)
        if image.width is None or image.height is None:
            raise unsayable(image, _FORMAT, "its size is not known yet, which the coordinates need")
        with self._sink.open(path) as file:
            for annotation in image.annotations:
                if annotation.box is not None:
                    number = self._classes.setdefault(annotation.label, len(self._classes))
                    file.write(f"{number} {_shares(annotation.box, image.width, image.height)}\n".encode())


def _shares(box: Box, width: int, height: int) -> str:
    """The middle and the sides of a box, as shares of its image."""
    middle_x, middle_y = box.left + box.width / 2, box.top + box.height / 2
    return f"{middle_x / width!r} {middle_y / height!r} {box.width / width!r} {box.height / height!r}"


def _require_folder(image: ExportedImage) -> None:
    """Makes sure that the label of an image can be the name of the folder that it is in."""
    label = image.annotations[0].label
    if len(image.annotations) > 1:
        reason = "it has several labels, and is in one folder only; COCO and CSV have several"
        raise unsayable(image, _FORMAT, reason)
    if label in (".", "..", "images") or "/" in label or "\\" in label:
        raise unsayable(image, _FORMAT, f"its label {shown(label)} cannot be the name of a folder")
