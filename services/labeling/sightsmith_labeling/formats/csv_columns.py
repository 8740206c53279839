"""What the cells of a CSV file mean."""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.fields import shown
from sightsmith_labeling.formats.image_files import is_image
from sightsmith_labeling.formats.splits import split_of

_IMAGE, _LABEL, _SPLIT = "image", "label", "split"
_NAMES = MappingProxyType(
    {
        _IMAGE: (
            *("image", "filename", "file", "imagefile", "imagename", "imagepath", "path", "imageid"),
            *("source", "sourceref", "uri", "imageuri", "url", "imageurl"),
        ),
        _LABEL: ("label", "labels", "class", "classname", "category", "tag", "tags", "labelname", "name"),
        _SPLIT: ("split", "set", "subset", "usage", "mlusage"),
        "xmin": ("xmin", "x1", "left"),
        "ymin": ("ymin", "y1", "top"),
        "xmax": ("xmax", "x2", "right"),
        "ymax": ("ymax", "y2", "bottom"),
        "x": ("x", "left", "bboxx"),
        "y": ("y", "top", "bboxy"),
        "box_width": ("w", "bboxwidth", "bboxw", "boxwidth", "width"),
        "box_height": ("h", "bboxheight", "bboxh", "boxheight", "height"),
        "width": ("imagewidth", "imgwidth", "width"),
        "height": ("imageheight", "imgheight", "height"),
    }
)
_EDGES = ("xmin", "ymin", "xmax", "ymax")
_SIDES = ("x", "y", "box_width", "box_height")
_UNDERSTOOD = (
    f"{', '.join(_NAMES[_IMAGE])} for the image; {', '.join(_NAMES[_LABEL])} for labels; "
    f"{', '.join(_NAMES[_SPLIT])} for the split; xmin, ymin, xmax, ymax or x, y, width, height for a box; "
    "imagewidth, imageheight for the size of the image"
)
# Google's tables have a vertex in two columns, and room for four of them.
_VERTICES = 8


class UnknownColumnsError(ValueError):
    """A first line that names columns, but not the ones that are needed; the message lists those that are understood.

    Args:
        names: in the first line.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"of the columns {shown(', '.join(names))} one must be for the image and one for labels. Understood are, "
            f"whatever their case, blanks and underscores: {_UNDERSTOOD}"
        )


@dataclass(frozen=True)
class Row:
    """A line of a CSV file, not checked yet.

    Attributes:
        size: width and height of the image; empty text where the line does not say.
        edges: left, top, right and bottom of a box; None if the line has none, or tells of it by sides.
        sides: left, top, width and height of a box; None if the line has none, or tells of it by edges.
        is_relative: whether the box is in shares of the image.
    """

    image: str
    labels: tuple[str, ...]
    split: Split | None = None
    size: tuple[str, str] = ("", "")
    edges: tuple[str, ...] | None = None
    sides: tuple[str, ...] | None = None
    is_relative: bool = False


class NamedColumns:
    """Columns that the first line names.

    Raises:
        UnknownColumnsError: if there is none for the image, or none for labels.
    """

    def __init__(self, names: Sequence[str]) -> None:
        plain = [_plain(name) for name in names]
        self._labels = [place for place, name in enumerate(plain) if name in _NAMES[_LABEL]]
        self._places = {meaning: _place(plain, known) for meaning, known in _NAMES.items()}
        whole = (box for box in (_EDGES, _SIDES) if all(self._places[each] is not None for each in box))
        self._box: tuple[str, ...] = next(whole, ())
        if self._places[_IMAGE] is None or not self._labels:
            raise UnknownColumnsError(names)
        # Open Images has shares of the image under these names, everybody else pixels.
        self._is_relative = "imageid" in plain and "labelname" in plain
        # Where the box has a width and a height, the columns of these names are its own.
        box_places = {self._places[each] for each in self._box}
        for side in ("width", "height"):
            if self._places[side] in box_places:
                self._places[side] = None

    def row(self, cells: Sequence[str]) -> Row:
        """What a line says."""

        def cell(meaning: str) -> str:
            place = self._places[meaning]
            return cells[place] if place is not None and place < len(cells) else ""

        labels = tuple(cells[place] for place in self._labels if place < len(cells) and cells[place].strip())
        box = tuple(cell(each) for each in self._box)
        has_box = any(each.strip() for each in box)
        return Row(
            cell(_IMAGE),
            labels,
            split_of(cell(_SPLIT).strip()),
            (cell("width").strip(), cell("height").strip()),
            edges=box if has_box and self._box == _EDGES else None,
            sides=box if has_box and self._box == _SIDES else None,
            is_relative=self._is_relative,
        )


class UnnamedColumns:
    """`image,label,label,…`, or Google's `set,image,label,x1,y1,,,x2,y2,,`, of which the set may be left out."""

    def row(self, cells: Sequence[str]) -> Row:
        """What a line says."""
        split = None
        if len(cells) > 1 and _is_set(cells[0]) and _names_image(cells[1]):
            split, cells = split_of(cells[0]), cells[1:]
        image, *rest = cells or [""]
        if len(rest) == 1 + _VERTICES and _are_vertices(rest[1:]):
            xs, ys = (
                sorted(filter(None, (each.strip() for each in rest[1 + axis :: 2])), key=float) for axis in (0, 1)
            )
            edges = (xs[0], ys[0], xs[-1], ys[-1])
            return Row(image, (rest[0],), split, edges=edges, is_relative=True)
        return Row(image, tuple(cell for cell in rest if cell.strip()), split)


Columns = NamedColumns | UnnamedColumns


def columns_of(first: Sequence[str]) -> tuple[Columns, bool]:
    """The columns of a file by its first line, and whether that line is only their names.

    Raises:
        UnknownColumnsError: if it is, but they are not known.
    """
    known = (*_NAMES[_IMAGE], *_NAMES[_LABEL])
    if have_image(first) or not any(_plain(cell) in known for cell in first):
        return UnnamedColumns(), False
    return NamedColumns(first), True


def have_image(cells: Iterable[str]) -> bool:
    """Whether any cell is an image by its name."""
    return any(map(_names_image, cells))


def delimiter_of(line: str) -> str:
    """What is between the cells of a line: comma, semicolon or tab, whichever makes most of them."""
    return max(",;\t", key=lambda delimiter: _cell_count(line, delimiter))


def _cell_count(line: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=delimiter), []))
    except csv.Error:
        # A cell that is too long; who reads the line tells of it.
        return 0


def _place(names: Sequence[str], known: Sequence[str]) -> int | None:
    """The column that has the first of the known names that any column has."""
    return next((names.index(name) for name in known if name in names), None)


def _plain(name: str) -> str:
    """The name of a column, without what nobody agrees on: `Image_Name` is `imagename`, `label_2` is `label`."""
    return re.sub(r"^label[0-9]+$", "label", re.sub(r"[^a-z0-9]", "", name.lower()))


def _is_set(cell: str) -> bool:
    return split_of(cell.strip()) is not None or cell.strip().upper() in ("", "UNASSIGNED")


def _names_image(cell: str) -> bool:
    return is_image(cell.strip()) or "://" in cell


def _are_vertices(cells: Sequence[str]) -> bool:
    """Whether cells are the coordinates of two or more points, whose others are left empty."""
    said = [cell.strip() for cell in cells]
    numbers = [cell for cell in said if cell]
    return len(numbers) >= 4 and all(_NUMBER.fullmatch(cell) for cell in numbers)


_NUMBER = re.compile(r"[+-]?([0-9]{1,20}\.?[0-9]{0,30}|\.[0-9]{1,30})([eE][+-]?[0-9]{1,2})?")
