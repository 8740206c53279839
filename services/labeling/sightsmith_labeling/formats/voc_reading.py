"""Reading Pascal VOC."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder

from defusedxml.ElementTree import DefusedXMLParser

from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.draft import ImageDraft
from sightsmith_labeling.formats.edges import length_between
from sightsmith_labeling.formats.fields import FieldError, number_of, shown, size_of, source_of
from sightsmith_labeling.formats.image_files import IMAGE_SUFFIXES, ImageFiles
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
from sightsmith_labeling.formats.splits import split_in, split_of
from sightsmith_labeling.formats.spool import Table, spool
from sightsmith_labeling.formats.xml_faults import INVALID_XML, telling_xml_faults

# Enough for several thousand objects.
_MOST_XML_BYTES = 2 * 1024 * 1024
_MOST_ELEMENTS = 50_000
_MOST_DEPTH = 20

_SCHEMA = """
    CREATE TABLE listed (id TEXT PRIMARY KEY, file TEXT, line INTEGER, split TEXT);
    CREATE TABLE labels (id TEXT, label TEXT, UNIQUE (id, label));
    CREATE TABLE described (id TEXT);
"""
_UNDESCRIBED = """
    SELECT id, file, line, split FROM listed WHERE id NOT IN (SELECT id FROM described) ORDER BY listed.rowid
"""
_FOLDER_OF_XML = "Annotations"
_FOLDER_OF_LISTS = ("ImageSets", "Main")


def read_voc(tree: FileTree, limits: ReadLimits, scratch: Path, expect: Expect) -> Iterator[ImportedImage | Rejection]:
    """See `Voc.read`."""
    with spool(scratch, _SCHEMA) as database:
        lists = _Lists(tree, limits, database)
        described = [name for name in tree.names() if name.lower().endswith(".xml")]
        if not described and not lists.image_count:
            message = "the import has neither XML files nor lists of images in ImageSets/Main"
            raise FormatError("ERROR_MANIFEST_INACCESSIBLE_OR_UNSUPPORTED_FORMAT", message, Place(""))
        if len(described) > limits.lines:
            raise _too_many(limits, Place(""))
        # Most images have an XML file and are on a list.
        expect(max(len(described), lists.image_count))
        reader = _Reader(tree, limits, lists)
        done = Table(database, "INSERT INTO described VALUES (?)")
        for name in described:
            done.add(_id_of(name))
            yield reader.described(name)
        done.flush()
        for id_, file, line, split in database.execute(_UNDESCRIBED):
            yield reader.undescribed(id_, Place(file, line), Split(split) if split else None)


class _Lists:
    """The lists of images in `ImageSets/Main`: `train.txt` of a split, `dog_train.txt` of a label of whole images.

    Attributes:
        image_count: how many images are on any list.
    """

    def __init__(self, tree: FileTree, limits: ReadLimits, database: sqlite3.Connection) -> None:
        self._tree = tree
        self._limits = limits
        self._database = database
        listed = Table(database, "INSERT OR IGNORE INTO listed VALUES (?, ?, ?, ?)")
        labels = Table(database, "INSERT OR IGNORE INTO labels VALUES (?, ?)")
        names = [name for name in tree.names() if name.endswith(".txt") and _is_list(name)]
        # What `trainval.txt` lists for training may be told apart by `val.txt`.
        names.sort(key=lambda name: ("trainval" in name, split_of(PurePosixPath(name).stem) is None, name))
        for name in names:
            self._take(name, listed, labels)
        listed.flush()
        labels.flush()
        self.image_count: int = database.execute("SELECT count(*) FROM listed").fetchone()[0]

    def split_of(self, id_: str) -> Split | None:
        """What the lists say that an image is for."""
        found = self._database.execute("SELECT split FROM listed WHERE id = ?", (id_,)).fetchone()
        return Split(found[0]) if found and found[0] else None

    def labels_of(self, id_: str) -> list[str]:
        """The labels that list an image."""
        found = self._database.execute("SELECT label FROM labels WHERE id = ? ORDER BY rowid", (id_,))
        return [label for (label,) in found]

    def _take(self, name: str, listed: Table, labels: Table) -> None:
        stem = PurePosixPath(name).stem
        label, _, last_word = "", "", stem
        if split_of(stem) is None:
            label, _, last_word = stem.rpartition("_")
        split = split_of(last_word)
        if split is None:
            return
        for number, line in self._lines(name):
            *before, last = line.rsplit(maxsplit=1)
            id_, mark = (before[0] if before else "", last) if label else (line, "")
            if not id_ or "\0" in id_ or len(id_) > self._limits.source_characters:
                message = f"{name}, line {number}: it must be the name of an image" + (" and 1 or -1" if label else "")
                raise FormatError("ERROR_INVALID_LINE", message, Place(name, number))
            listed.add(id_, name, number, split.value)
            if label and mark == "1":
                labels.add(id_, label)

    def _lines(self, name: str) -> Iterator[tuple[int, str]]:
        with self._tree.open(name) as file:
            for number, line in numbered_lines(file, self._limits):
                if number > self._limits.lines:
                    raise _too_many(self._limits, Place(name, number))
                try:
                    text = (line or b"").decode().strip()
                except UnicodeDecodeError as error:
                    message = f"{name}, line {number}: it is not UTF-8"
                    raise FormatError("ERROR_INVALID_ENCODING", message, Place(name, number)) from error
                if line is None:
                    message = f"{name}, line {number}: it has more than {self._limits.line_characters} characters"
                    raise FormatError("ERROR_LINE_TOO_LONG", message, Place(name, number))
                if text:
                    yield number, text


class _Reader:
    """Makes images of XML files and lists."""

    def __init__(self, tree: FileTree, limits: ReadLimits, lists: _Lists) -> None:
        self._tree = tree
        self._limits = limits
        self._lists = lists
        self._files = ImageFiles(tree)

    def described(self, name: str) -> ImportedImage | Rejection:
        """The image of an XML file."""
        id_ = _id_of(name)
        split = self._lists.split_of(id_) or split_in(reversed(PurePosixPath(name).parent.parts))
        try:
            content = self._parsed(name)
            source = source_of(content.findtext("filename"), self._limits)
            file = self._files.find(source, name, split)
            draft = ImageDraft(Place(name), source, self._limits, split=split, file=file)
        except FieldError as error:
            return Rejection(Place(name), error.code, str(error))
        try:
            draft.size = size_of(content.findtext("size/width"), content.findtext("size/height"))
        except FieldError as error:
            draft.refuse(error, "size")
        for tag in content.iterfind("tag"):
            draft.add_label(tag.text or "", "tag")
        for number, found in enumerate(content.iterfind("object")):
            _take_object(draft, found, f"object[{number}]")
        in_boxes = {found.findtext("name") for found in content.iterfind("object")}
        for label in self._lists.labels_of(id_):
            # The devkit lists what is in a box as well; that says nothing of the whole image.
            if label not in in_boxes:
                draft.add_label(label, "ImageSets/Main")
        return draft.finished()

    def undescribed(self, id_: str, place: Place, split: Split | None) -> ImportedImage | Rejection:
        """An image that only lists name, without the suffix that it has."""
        try:
            id_ = source_of(id_, self._limits)
        except FieldError as error:
            return Rejection(place, error.code, str(error))
        found = (self._files.find(f"{id_}{suffix}", place.file, split) for suffix in sorted(IMAGE_SUFFIXES))
        file = next(filter(None, found), None)
        source = f"{id_}{PurePosixPath(file).suffix if file else '.jpg'}"
        draft = ImageDraft(place, source, self._limits, split=split, file=file)
        for label in self._lists.labels_of(id_):
            draft.add_label(label, "ImageSets/Main")
        return draft.finished()

    def _parsed(self, name: str) -> Element:
        if self._tree.size(name) > _MOST_XML_BYTES:
            message = f"it has {self._tree.size(name)} bytes; at most {_MOST_XML_BYTES} are accepted"
            raise FieldError("ERROR_FILE_TOO_LARGE", message)
        with self._tree.open(name) as file:
            data = file.read(_MOST_XML_BYTES)
        with telling_xml_faults():
            parser = DefusedXMLParser(target=_BoundedTree(), forbid_dtd=True)
            parser.feed(data)
            content: Element = parser.close()
        if content.tag != "annotation":
            raise FieldError(INVALID_XML, f"its outermost element must be annotation, not {shown(content.tag)}")
        return content


class _BoundedTree(TreeBuilder):
    """Makes a tree of elements, which takes far more memory than their text, and refuses a large or deep one."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._depth = 0

    def start(self, tag: Any, attrs: dict[Any, Any]) -> Element:
        self._count += 1
        self._depth += 1
        if self._count > _MOST_ELEMENTS or self._depth > _MOST_DEPTH:
            raise ValueError(f"more than {_MOST_ELEMENTS} elements, or more than {_MOST_DEPTH} within each other")
        return super().start(tag, attrs)

    def end(self, tag: str) -> Element:
        self._depth -= 1
        return super().end(tag)


def _take_object(draft: ImageDraft, found: Element, path: str) -> None:
    edges = [found.findtext(f"bndbox/{edge}") for edge in ("xmin", "ymin", "xmax", "ymax")]
    try:
        if found.find("bndbox") is None:
            raise FieldError("ERROR_INVALID_BOUNDING_BOX", "it has no bndbox")
        draft.add_box(found.findtext("name"), *_box(edges), path=path)
    except FieldError as error:
        draft.refuse(error, path)


def _box(edges: list[str | None]) -> tuple[float, float, float, float]:
    """Left, top, width and height from left, top, right and bottom."""
    left, top, _, _ = (
        number_of(edge, name) for edge, name in zip(edges, ("xmin", "ymin", "xmax", "ymax"), strict=True)
    )
    xmin, ymin, xmax, ymax = (str(edge) for edge in edges)
    return left, top, length_between(xmin, xmax), length_between(ymin, ymax)


def _id_of(name: str) -> str:
    """What the lists call the image of an XML file: its path below `Annotations`, without the suffix."""
    parts = PurePosixPath(name).with_suffix("").parts
    if _FOLDER_OF_XML in parts[:-1]:
        return "/".join(parts[parts.index(_FOLDER_OF_XML) + 1 :])
    return parts[-1]


def _is_list(name: str) -> bool:
    return PurePosixPath(name).parts[-3:-1] == _FOLDER_OF_LISTS


def _too_many(limits: ReadLimits, place: Place) -> FormatError:
    message = f"there are more than {limits.lines} images, which is all that is accepted"
    return FormatError("ERROR_MANIFEST_ROWS_EXCEEDS_MAXIMUM", message, place)
