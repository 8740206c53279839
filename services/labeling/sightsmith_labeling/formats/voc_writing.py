"""Writing Pascal VOC."""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from xml.sax.saxutils import escape

from sightsmith_labeling.annotations import Box
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.edges import edge_after, number_text
from sightsmith_labeling.formats.records import ExportedImage, Sink
from sightsmith_labeling.formats.spool import Table, spool
from sightsmith_labeling.formats.unsayable import require_xml, unsayable

_SCHEMA = """
    CREATE TABLE images (number INTEGER PRIMARY KEY, id TEXT UNIQUE, split TEXT);
    CREATE TABLE labels (number INTEGER, label TEXT, is_of_whole INTEGER);
"""
_FORMAT = "Pascal VOC"
_NAMES = {Split.TRAIN: "train", Split.TEST: "val"}
# Whether an image of a split has a label, in a box or on the whole.
_MARKS = """
    SELECT images.id, EXISTS (SELECT 1 FROM labels WHERE labels.number = images.number AND labels.label = ?)
    FROM images WHERE images.split = ? ORDER BY images.number
"""
_MOST_FILE_NAME_BYTES = 255
# What other tools insist on finding.
_REMARKS = "<pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>"


def write_voc(images: Iterable[ExportedImage], sink: Sink, scratch: Path) -> None:
    """See `Voc.write`."""
    with spool(scratch, _SCHEMA) as database:
        table = Table(database, "INSERT INTO images VALUES (?, ?, ?)")
        labels = Table(database, "INSERT INTO labels VALUES (?, ?, ?)")
        ids: set[str] = set()
        for number, image in enumerate(images):
            id_ = image.file_name.removesuffix(PurePosixPath(image.file_name).suffix)
            if id_ in ids:
                reason = "another image has the same name but for its suffix, which Pascal VOC does not tell apart"
                raise unsayable(image, _FORMAT, reason)
            ids.add(id_)
            table.add(number, id_, image.split.value)
            for label, is_of_whole in {(each.label, each.box is None) for each in image.annotations}:
                labels.add(number, label, is_of_whole)
            with sink.open(f"Annotations/{id_}.xml") as file:
                file.write(_xml(image).encode())
        table.flush()
        labels.flush()
        _write_lists(database, sink)


def _write_lists(database: sqlite3.Connection, sink: Sink) -> None:
    database.execute("CREATE INDEX ix_labels ON labels (number, label)")
    splits = [Split(split) for (split,) in database.execute("SELECT DISTINCT split FROM images ORDER BY split DESC")]
    whole = "SELECT DISTINCT label FROM labels WHERE is_of_whole ORDER BY label"
    names = [label for (label,) in database.execute(whole) if _can_be_in_file_name(label)]
    for split in splits:
        ids = database.execute("SELECT id FROM images WHERE split = ? ORDER BY number", (split.value,))
        _write_lines(sink, _NAMES[split], (id_ for (id_,) in ids))
        for label in names:
            marks = database.execute(_MARKS, (label, split.value))
            _write_lines(sink, f"{label}_{_NAMES[split]}", (f"{id_} {1 if has else -1}" for id_, has in marks))


def _write_lines(sink: Sink, name: str, lines: Iterable[str]) -> None:
    with sink.open(f"ImageSets/Main/{name}.txt") as file:
        for line in lines:
            file.write(f"{line}\n".encode())


def _can_be_in_file_name(label: str) -> bool:
    """Whether a label can have lists of its own; the XML files have it in any case."""
    longest = f"{label}_train.txt".encode()
    return not any(character in label for character in "/\\") and len(longest) <= _MOST_FILE_NAME_BYTES


def _xml(image: ExportedImage) -> str:
    return "\n".join(["<annotation>", *(f"  {line}" for line in _lines(image)), "</annotation>", ""])


def _lines(image: ExportedImage) -> Iterator[str]:
    require_xml(image, _FORMAT)
    yield "<folder>JPEGImages</folder>"
    yield f"<filename>{escape(image.file_name)}</filename>"
    yield "<source><database>Sightsmith</database></source>"
    if image.width is not None and image.height is not None:
        yield f"<size><width>{image.width}</width><height>{image.height}</height><depth>3</depth></size>"
    yield "<segmented>0</segmented>"
    for annotation in image.annotations:
        if annotation.box is None:
            yield f"<tag>{escape(annotation.label)}</tag>"
    for annotation in image.annotations:
        if annotation.box is not None:
            yield f"<object><name>{escape(annotation.label)}</name>{_REMARKS}{_bndbox(annotation.box)}</object>"


def _bndbox(box: Box) -> str:
    xmin, ymin = number_text(box.left), number_text(box.top)
    xmax, ymax = edge_after(box.left, box.width), edge_after(box.top, box.height)
    return f"<bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox>"
