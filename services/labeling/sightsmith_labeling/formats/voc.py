"""Pascal VOC: an XML file for each image, lists of images for the splits and for labels of whole images.

Layout: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html. Coordinates are edges in pixels from 0,
as today's tools write them; the original sets count pixels from 1, so that their boxes come out one pixel smaller.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

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
from sightsmith_labeling.formats.voc_reading import read_voc
from sightsmith_labeling.formats.voc_writing import write_voc


class Voc:
    """The Pascal VOC format."""

    name: ClassVar[str] = "voc"

    def read(
        self, tree: FileTree, limits: ReadLimits, scratch: Path, expect: Expect = expect_nothing
    ) -> Iterator[ImportedImage | Rejection]:
        """Reads every XML file, then the images that only lists name; see `Format.read`."""
        return read_voc(tree, limits, scratch, expect)

    def image_path(self, image: ExportedImage) -> str:
        """See `Format.image_path`."""
        return f"JPEGImages/{image.file_name}"

    def write(self, images: Iterable[ExportedImage], labels: Sequence[str], sink: Sink, scratch: Path) -> None:
        """Writes XML files, `ImageSets/Main/train.txt` and `val.txt`, and lists for labels of whole images.

        See `Format.write`.
        """
        write_voc(images, sink, scratch)
