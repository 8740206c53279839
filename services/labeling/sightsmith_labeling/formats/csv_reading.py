"""Reading CSV files."""

import csv
import json
from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any

from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.csv_columns import (
    Columns,
    Row,
    UnknownColumnsError,
    columns_of,
    delimiter_of,
    have_image,
)
from sightsmith_labeling.formats.draft import ImageDraft
from sightsmith_labeling.formats.edges import length_between
from sightsmith_labeling.formats.fields import FieldError, number_of, size_of, source_of
from sightsmith_labeling.formats.image_files import ImageFiles
from sightsmith_labeling.formats.manifest_lines import numbered_lines
from sightsmith_labeling.formats.records import (
    Expect,
    FileTree,
    FormatError,
    ImportedImage,
    Place,
    ReadLimits,
    Rejection,
)
from sightsmith_labeling.formats.splits import split_in
from sightsmith_labeling.formats.spool import Table, spool

_SUFFIXES = (".csv", ".tsv")
_SCHEMA = """
    CREATE TABLE lines (image TEXT, file TEXT, line INTEGER, split TEXT, is_relative INTEGER, content TEXT);
    CREATE TABLE rejections (file TEXT, line INTEGER, code TEXT, message TEXT);
"""
_COUNT = "SELECT count(*) FROM (SELECT DISTINCT image, is_relative FROM lines)"
_BY_IMAGE = """
    SELECT first, image, is_relative, file, line, split, content
    FROM lines JOIN (SELECT image, is_relative, min(rowid) AS first FROM lines GROUP BY image, is_relative)
    USING (image, is_relative) ORDER BY first, lines.rowid
"""


def read_csv(tree: FileTree, limits: ReadLimits, scratch: Path, expect: Expect) -> Iterator[ImportedImage | Rejection]:
    """See `CsvFiles.read`."""
    names = [name for name in tree.names() if name.lower().endswith(_SUFFIXES)]
    if not names:
        message = "the import has no file whose name ends in .csv or .tsv"
        raise FormatError("ERROR_MANIFEST_INACCESSIBLE_OR_UNSUPPORTED_FORMAT", message, Place(""))
    with spool(scratch, _SCHEMA) as database:
        lines = Table(database, "INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?)")
        rejections = Table(database, "INSERT INTO rejections VALUES (?, ?, ?, ?)")
        for name in names:
            _CsvFile(tree, name, limits).spool(lines, rejections)
        if lines.count + rejections.count == 0:
            raise FormatError("ERROR_EMPTY_MANIFEST", f"{names[0]} has no lines", Place(names[0]))
        lines.flush()
        rejections.flush()
        expect(database.execute(_COUNT).fetchone()[0] + rejections.count)
        files = ImageFiles(tree)
        for _, rows in groupby(database.execute(_BY_IMAGE), itemgetter(0)):
            yield _image(rows, files, limits)
        for file, line, code, message in database.execute("SELECT * FROM rejections ORDER BY rowid"):
            yield Rejection(Place(file, line), code, message)


class _CsvFile:
    """A file whose lines are to be put to their images."""

    def __init__(self, tree: FileTree, name: str, limits: ReadLimits) -> None:
        self._tree = tree
        self._name = name
        self._limits = limits
        path = PurePosixPath(name)
        self._split = split_in([path.stem, *reversed(path.parent.parts)])
        self._columns: Columns | None = None
        self._delimiter = ","
        # A first line without an image may be names of columns that nobody knows: the second one tells.
        self._doubtful: tuple[int, list[str]] | None = None

    def spool(self, lines: Table, rejections: Table) -> None:
        """Takes all lines.

        Raises:
            FormatError: if the file is not UTF-8, has columns that are not known, or too many lines.
        """
        with self._tree.open(self._name) as file:
            for number, line in numbered_lines(file, self._limits):
                if lines.count + rejections.count >= self._limits.lines:
                    message = f"there are more than {self._limits.lines} lines, which is all that is accepted"
                    raise FormatError("ERROR_MANIFEST_ROWS_EXCEEDS_MAXIMUM", message, Place(self._name, number))
                try:
                    if (row := self._row(number, line)) is not None:
                        image, split = source_of(row.image, self._limits), row.split or self._split
                        content = _dump([row.labels, row.size, row.edges, row.sides])
                        lines.add(image, self._name, number, split and split.value, row.is_relative, content)
                except FieldError as error:
                    rejections.add(self._name, number, error.code, str(error))

    def _row(self, number: int, line: bytes | None) -> Row | None:
        if line is None or len(line) > self._limits.line_characters * 4:
            raise FieldError("ERROR_LINE_TOO_LONG", f"it has more than {self._limits.line_characters} characters")
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            message = f"{self._name}, line {number}: it is not UTF-8; save the file as UTF-8"
            raise FormatError("ERROR_INVALID_ENCODING", message, Place(self._name, number)) from error
        if not text.strip():
            return None
        if self._columns is None:
            return self._first_row(number, text)
        cells = self._cells(text)
        if self._doubtful is not None and have_image(cells):
            raise self._unknown_columns(*self._doubtful)
        self._doubtful = None
        return self._columns.row(cells)

    def _first_row(self, number: int, text: str) -> Row | None:
        self._delimiter = delimiter_of(text)
        cells = self._cells(text)
        try:
            self._columns, is_header = columns_of(cells)
        except UnknownColumnsError as error:
            raise self._unknown_columns(number, cells) from error
        if is_header:
            return None
        self._doubtful = None if have_image(cells) else (number, cells)
        return self._columns.row(cells)

    def _unknown_columns(self, number: int, names: Sequence[str]) -> FormatError:
        return FormatError("ERROR_UNKNOWN_COLUMNS", str(UnknownColumnsError(names)), Place(self._name, number))

    def _cells(self, text: str) -> list[str]:
        """The cells of a line. Nothing that is read here has line ends in it, so that each line is by itself."""
        try:
            return next(csv.reader([text], delimiter=self._delimiter, skipinitialspace=True, strict=True))
        except (csv.Error, StopIteration) as error:
            raise FieldError("ERROR_INVALID_LINE", f"its quotes do not match: {error}") from error


def _image(rows: Iterator[tuple[Any, ...]], files: ImageFiles, limits: ReadLimits) -> ImportedImage:
    """The image of all lines that name it; what it is for and its size are as the first line says that does."""
    first = next(rows)
    _, image, is_relative, file, line, *_ = first
    draft = ImageDraft(Place(file, line), image, limits, relative=bool(is_relative))
    for *_, file, line, split, content in chain([first], rows):
        if draft.split is None and split is not None:
            draft.split = Split(split)
        draft.file = draft.file or files.find(image, file, draft.split)
        _take(draft, f"{file}, line {line}", *json.loads(content))
    return draft.finished()


def _take(
    draft: ImageDraft, path: str, labels: list[str], size: list[str], edges: list[str] | None, sides: list[str] | None
) -> None:
    """Adds what a line says."""
    try:
        draft.size = draft.size or size_of(*size)
        if edges is None and sides is None:
            for label in labels:
                draft.add_label(label, path)
            return
        box = _box(edges, sides)
    except FieldError as error:
        draft.refuse(error, path)
        return
    for label in labels or [""]:
        draft.add_box(label, *box, path=path)


def _box(edges: list[str] | None, sides: list[str] | None) -> tuple[float, float, float, float]:
    """Left, top, width and height, from these or from left, top, right and bottom."""
    if edges is None:
        left, top, width, height = (number_of(side, "each number of the box") for side in sides or ())
        return left, top, width, height
    xmin, ymin, xmax, ymax = edges
    left, top, _, _ = (number_of(edge, "each number of the box") for edge in edges)
    return left, top, length_between(xmin, xmax), length_between(ymin, ymax)


_dump = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode
