"""YOLO: a text file for each image, a line for each box, numbers for classes, shares of the image for coordinates.

Layouts: https://docs.ultralytics.com/datasets/detect/ and https://docs.ultralytics.com/datasets/classify/, and that of
Darknet with `obj.names`.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from sightsmith_labeling.datasets import Split
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
from sightsmith_labeling.formats.yolo_reading import read_yolo
from sightsmith_labeling.formats.yolo_writing import YoloWriter

# What every YOLO calls the images that are not trained on.
_FOLDERS = {Split.TRAIN: "train", Split.TEST: "val"}


class Yolo:
    """The YOLO formats: boxes in text files, or labels of whole images by folders."""

    name: ClassVar[str] = "yolo"

    def read(
        self, tree: FileTree, limits: ReadLimits, scratch: Path, expect: Expect = expect_nothing
    ) -> Iterator[ImportedImage | Rejection]:
        """Reads a data set; see `Format.read`. Its boxes are relative: the text files do not know the images' sizes."""
        return read_yolo(tree, limits, expect)

    def image_path(self, image: ExportedImage) -> str:
        """See `Format.image_path`: an image with a label of the whole belongs to the label's folder."""
        split = _FOLDERS[image.split]
        if image.annotations and image.annotations[0].box is None:
            return f"{split}/{image.annotations[0].label}/{image.file_name}"
        return f"images/{split}/{image.file_name}"

    def write(self, images: Iterable[ExportedImage], labels: Sequence[str], sink: Sink, scratch: Path) -> None:
        """Writes boxes as text files with a `data.yaml`, or labels of whole images by folders; see `Format.write`.

        Raises:
            FormatError: if there are both, if an image has several labels of the whole, if such a label cannot be a
                folder's name, or if the size of an image with boxes is not known.
        """
        with YoloWriter(labels, sink, scratch) as writer:
            for image in images:
                writer.add(image, self.image_path(image))
            writer.finish()
