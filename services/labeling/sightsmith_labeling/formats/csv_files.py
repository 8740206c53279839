"""CSV: a line for each box, or for the labels of each image.

Read are lines of `image,label,label,…`, tables whose first line names their columns, and the tables of Google's AutoML
and Vertex AI. Written are tables with the column names of TensorFlow's object detection examples.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from sightsmith_labeling.annotations import Annotation
from sightsmith_labeling.formats.csv_reading import read_csv
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

_COLUMNS = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax", "split")
_NO_BOX = ("", "", "", "")


class CsvFiles:
    """The CSV format."""

    name: ClassVar[str] = "csv"

    def read(
        self, tree: FileTree, limits: ReadLimits, scratch: Path, expect: Expect = expect_nothing
    ) -> Iterator[ImportedImage | Rejection]:
        """Reads every CSV file, and puts the lines of an image together, wherever they are; see `Format.read`."""
        return read_csv(tree, limits, scratch, expect)

    def image_path(self, image: ExportedImage) -> str:
        """See `Format.image_path`."""
        return f"images/{image.file_name}"

    def write(self, images: Iterable[ExportedImage], labels: Sequence[str], sink: Sink, scratch: Path) -> None:
        """Writes `annotations.csv`: a line for each annotation, and for each image without any; see `Format.write`.

        A label of the whole image has no edges.
        """
        with sink.open("annotations.csv") as file:
            file.write(_line(_COLUMNS))
            for image in images:
                size = ("" if side is None else str(side) for side in (image.width, image.height))
                start = (image.file_name, *size)
                for annotation in image.annotations or (None,):
                    file.write(_line((*start, *_cells(annotation), image.split.value)))


def _cells(annotation: Annotation | None) -> tuple[str, ...]:
    if annotation is None:
        return "", *_NO_BOX
    if (box := annotation.box) is None:
        return annotation.label, *_NO_BOX
    far = edge_after(box.left, box.width), edge_after(box.top, box.height)
    return annotation.label, number_text(box.left), number_text(box.top), *far


def _line(cells: Iterable[str]) -> bytes:
    return (",".join(map(_quoted, cells)) + "\n").encode()


def _quoted(cell: str) -> str:
    """A cell in quotes if anything in it could be taken for something else."""
    if cell.startswith((" ", "\ufeff")) or any(character in cell for character in '",;\t\r\n'):
        return '"' + cell.replace('"', '""') + '"'
    return cell
