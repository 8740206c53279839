"""CVAT for images 1.1: an XML file of images with their tags and shapes.

Layout: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar
from xml.sax.saxutils import escape, quoteattr

from sightsmith_labeling.annotations import Annotation, Origin
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.cvat_reading import read_cvat
from sightsmith_labeling.formats.edges import edge_after, number_text
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
from sightsmith_labeling.formats.unsayable import require_xml

_SUBSETS = {Split.TRAIN: "Train", Split.TEST: "Test"}
_SOURCES = {Origin.MODEL: "auto", Origin.PERSON: "manual", Origin.IMPORT: "file"}


class Cvat:
    """Reads and writes CVAT for images 1.1.

    Tags are labels of the whole image; boxes are boxes, and so are, with a note, the boxes around turned boxes,
    polygons, ellipses and masks. Points, polylines, cuboids and skeletons are told as problems. What CVAT calls `auto`
    was made by a model. An image's subset says what it is for.
    """

    name: ClassVar[str] = "cvat"

    def read(
        self, tree: FileTree, limits: ReadLimits, scratch: Path, expect: Expect = expect_nothing
    ) -> Iterator[ImportedImage | Rejection]:
        """Reads every XML file of an import; see `Format.read`."""
        return read_cvat(tree, limits)

    def image_path(self, image: ExportedImage) -> str:
        """Where an image's bytes belong in an export."""
        return f"images/{image.file_name}"

    def write(self, images: Iterable[ExportedImage], labels: Sequence[str], sink: Sink, scratch: Path) -> None:
        """Writes `annotations.xml`; see `Format.write`.

        Raises:
            FormatError: if XML cannot say how an image or a label is called.
        """
        with sink.open("annotations.xml") as file:
            file.write(_beginning(labels).encode())
            for number, image in enumerate(images):
                file.write(_image(number, image).encode())
            file.write(b"</annotations>\n")


def _beginning(labels: Sequence[str]) -> str:
    names = "".join(f"        <label><name>{escape(label)}</name><attributes/></label>\n" for label in labels)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        "<annotations>\n"
        "  <version>1.1</version>\n"
        f"  <meta>\n    <project>\n      <labels>\n{names}      </labels>\n    </project>\n  </meta>\n"
    )


def _image(number: int, image: ExportedImage) -> str:
    require_xml(image, "CVAT")
    size = "" if image.width is None or image.height is None else f' width="{image.width}" height="{image.height}"'
    shapes = "".join(map(_shape, image.annotations))
    name = _attribute(image.file_name)
    return f'  <image id="{number}" name={name} subset="{_SUBSETS[image.split]}"{size}>\n{shapes}  </image>\n'


def _shape(annotation: Annotation) -> str:
    said = f'label={_attribute(annotation.label)} source="{_SOURCES[annotation.origin]}"'
    if (box := annotation.box) is None:
        return f"    <tag {said}></tag>\n"
    return (
        f'    <box {said} occluded="0" xtl="{number_text(box.left)}" ytl="{number_text(box.top)}"'
        f' xbr="{edge_after(box.left, box.width)}" ybr="{edge_after(box.top, box.height)}" z_order="0"></box>\n'
    )


def _attribute(text: str) -> str:
    # White space other than a blank is a blank to a reader, unless it is written as a number.
    return quoteattr(text, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
