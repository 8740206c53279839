"""Reading COCO files: their lists are spooled to disk and joined there, for they may come in any order."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any

from sightsmith_labeling.formats.draft import ImageDraft
from sightsmith_labeling.formats.fields import FieldError, number_of, shown, size_of, source_of
from sightsmith_labeling.formats.image_files import ImageFiles
from sightsmith_labeling.formats.json_elements import Element, elements
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

_SCHEMA = """
    CREATE TABLE images (
        file INTEGER, position INTEGER, id TEXT, source TEXT, width INTEGER, height INTEGER, problem TEXT
    );
    CREATE TABLE annotations (
        file INTEGER, image TEXT, position INTEGER, id TEXT, category TEXT, is_crowd INTEGER, is_polygon INTEGER,
        left REAL, top REAL, width REAL, height REAL, problem TEXT
    );
    CREATE TABLE rejections (file INTEGER, path TEXT, code TEXT, message TEXT);
"""
_JOINS = """
    CREATE INDEX ix_images_id ON images (file, id);
    CREATE INDEX ix_annotations_image ON annotations (file, image);
    CREATE VIEW repeated_images AS
    SELECT images.rowid AS number, images.* FROM images
    JOIN images AS earlier
    ON earlier.file = images.file AND earlier.id = images.id AND earlier.rowid < images.rowid
    GROUP BY images.rowid;
"""
_IMAGES = """
    SELECT images.rowid, images.file, images.source, images.width, images.height, images.problem,
        annotations.position, annotations.id, annotations.category, annotations.is_crowd, annotations.is_polygon,
        annotations.left, annotations.top, annotations.width, annotations.height, annotations.problem
    FROM images LEFT JOIN annotations ON annotations.file = images.file AND annotations.image = images.id
    WHERE images.rowid NOT IN (SELECT number FROM repeated_images)
    ORDER BY images.rowid, annotations.rowid
"""
_REPEATED_IMAGES = "SELECT file, position, id FROM repeated_images ORDER BY number"
_STRAY_ANNOTATIONS = """
    SELECT file, position, image FROM annotations
    WHERE NOT EXISTS (SELECT 1 FROM images WHERE images.file = annotations.file AND images.id = annotations.image)
    ORDER BY rowid
"""
_Edges = tuple[float, float, float, float] | tuple[None, None, None, None]
_NO_BOX: _Edges = (None, None, None, None)


def read_coco(tree: FileTree, limits: ReadLimits, scratch: Path, expect: Expect) -> Iterator[ImportedImage | Rejection]:
    """See `Coco.read`."""
    with spool(scratch, _SCHEMA) as database:
        files = [_CocoFile(name, number, limits, database) for number, name in enumerate(_annotation_files(tree))]
        is_coco = [file.take(tree) for file in files]
        if not any(is_coco):
            message = "the import has no COCO file: no JSON object with lists of images, annotations and categories"
            raise FormatError("ERROR_MANIFEST_INACCESSIBLE_OR_UNSUPPORTED_FORMAT", message, Place(""))
        count = sum(file.count for file in files)
        if count == 0:
            name = files[is_coco.index(True)].name
            raise FormatError("ERROR_EMPTY_MANIFEST", f"{name}: there is not one image in it", Place(name))
        expect(count)
        database.executescript(_JOINS)
        yield from _images(database, files, ImageFiles(tree), limits)
        yield from _rejections(database, files)


def _annotation_files(tree: FileTree) -> Sequence[str]:
    """COCO's own archive tells of each image in several files; those with its boxes are called `instances_…`."""
    names = [name for name in tree.names() if name.lower().endswith(".json")]
    return [name for name in names if PurePosixPath(name).name.startswith("instances_")] or names


class _CocoFile:
    """A file, whose images and annotations go to the database, checked as far as each of them can be by itself.

    Attributes:
        categories: their names, unchecked, by their ids.
    """

    def __init__(self, name: str, number: int, limits: ReadLimits, database: sqlite3.Connection) -> None:
        self.name = name
        path = PurePosixPath(name)
        self.split = split_in([path.stem, *reversed(path.parent.parts)])
        self.categories: dict[str, Any] = {}
        self._number = number
        self._limits = limits
        self._images = Table(database, "INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?)")
        self._annotations = Table(database, "INSERT INTO annotations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        self._rejections = Table(database, "INSERT INTO rejections VALUES (?, ?, ?, ?)")

    def take(self, tree: FileTree) -> bool:
        """Takes all of the file; says whether it is a COCO file at all."""
        take = {"images": self._take_image, "annotations": self._take_annotation, "categories": self._take_category}
        is_coco = False
        with tree.open(self.name) as file:
            for element in elements(file, self.name, self._limits.line_characters):
                if element.list_name in take:
                    is_coco = True
                    try:
                        take[element.list_name](element.position, self._checked(element))
                    except FieldError as error:
                        self._rejections.add(self._number, element.path, error.code, str(error))
        for table in (self._images, self._annotations, self._rejections):
            table.flush()
        return is_coco

    @property
    def count(self) -> int:
        """How many images it has told of, and how many things that cannot be imported."""
        return self._images.count + self._rejections.count

    def _checked(self, element: Element) -> dict[str, Any]:
        if element.is_too_long:
            limit = self._limits.line_characters
            raise FieldError("ERROR_VALUE_TOO_LONG", f"it has more than {limit} characters, which is all that is read")
        if not isinstance(element.value, dict):
            raise FieldError("ERROR_INVALID_ENTRY", f"it must be an object, not {shown(element.value)}")
        return element.value

    def _take_image(self, position: int, image: dict[str, Any]) -> None:
        id_, source = _id_of(image, "id"), source_of(image.get("file_name"), self._limits)
        size, problem = None, None
        try:
            size = size_of(image.get("width"), image.get("height"))
        except FieldError as error:
            problem = str(error)
        self._images.add(self._number, position, id_, source, *(size or (None, None)), problem)
        if self._images.count > self._limits.lines:
            message = f"there are more than {self._limits.lines} images, which is all that is accepted"
            raise FormatError("ERROR_MANIFEST_ROWS_EXCEEDS_MAXIMUM", message, Place(self.name))

    def _take_annotation(self, position: int, annotation: dict[str, Any]) -> None:
        image, category = _id_of(annotation, "image_id"), _id_text(annotation.get("category_id"))
        box, problem = _NO_BOX, None
        is_crowd = bool(annotation.get("iscrowd"))
        try:
            box = _NO_BOX if is_crowd else _box_of(annotation)
        except FieldError as error:
            problem = str(error)
        id_ = _id_text(annotation.get("id"))
        is_polygon = box is not _NO_BOX and not annotation.get("bbox")
        self._annotations.add(self._number, image, position, id_, category, is_crowd, is_polygon, *box, problem)

    def _take_category(self, _: int, category: dict[str, Any]) -> None:
        id_, name = _id_of(category, "id"), category.get("name")
        if self.categories.setdefault(id_, name) != name:
            message = f"two categories have the id {shown(id_)}: {shown(self.categories[id_])} and {shown(name)}"
            raise FormatError("ERROR_DUPLICATE_CATEGORY", message, Place(self.name))
        if len(self.categories) > self._limits.lines:
            message = f"there are more than {self._limits.lines} categories"
            raise FormatError("ERROR_MANIFEST_TOO_MANY_LABELS", message, Place(self.name))


def _images(
    database: sqlite3.Connection, coco: Sequence[_CocoFile], files: ImageFiles, limits: ReadLimits
) -> Iterator[ImportedImage]:
    for (_, number, source, width, height, problem), rows in groupby(database.execute(_IMAGES), itemgetter(*range(6))):
        file = coco[number]
        draft = ImageDraft(
            Place(file.name),
            source,
            limits,
            size=(width, height) if width else None,
            split=file.split,
            file=files.find(source, file.name, file.split),
        )
        if problem:
            draft.add_problem("ERROR_INVALID_IMAGE_DIMENSION", problem)
        for row in rows:
            if row[6] is not None:  # An image without annotations has one row without one.
                _annotate(draft, file.categories, *row[6:])
        yield draft.finished()


def _annotate(
    draft: ImageDraft,
    categories: Mapping[str, Any],
    position: int,
    id_: str | None,
    category: str | None,
    is_crowd: int,
    is_polygon: int,
    *box_and_problem: Any,
) -> None:
    *box, problem = box_and_problem
    path = f"annotations[{position}]"
    if category is None or category not in categories:
        message = f"annotation {id_}: there is no category with the id {shown(category)}"
        draft.add_problem("ERROR_MISSING_CLASS_MAP_ID", message, path)
    elif problem:
        draft.add_problem("ERROR_INVALID_BOUNDING_BOX", f"annotation {id_}: {problem}", path)
    elif is_crowd:
        message = f"annotation {id_} marks a crowd and not one object; it is left out"
        draft.add_note("WARNING_CROWD_ANNOTATION", message, path)
    elif box[0] is None:
        draft.add_label(categories[category], path)
    else:
        if is_polygon:
            # Of the image and not of the annotation: data sets for segmentation have nothing but polygons.
            draft.add_note("WARNING_SHAPE_MADE_A_BOX", "only boxes are imported: the box around each polygon is taken")
        left, top, width, height = box
        draft.add_box(categories[category], left, top, width, height, path)


def _id_of(found: Mapping[str, Any], key: str) -> str:
    """An id as text: some tools write the same one as a number here and as text there."""
    if (id_ := _id_text(found.get(key))) is None:
        raise FieldError("ERROR_INVALID_ENTRY", f"its {key} must be a number or text, not {shown(found.get(key))}")
    return id_


def _id_text(value: object) -> str | None:
    if isinstance(value, float) and value.is_integer():
        # Tables write every number of a column as a fraction once one of them is missing.
        value = int(value)
    # Not `isinstance`: true and false are numbers to it.
    return str(value) if type(value) is int or (isinstance(value, str) and value.isprintable()) else None


def _box_of(annotation: Mapping[str, Any]) -> _Edges:
    """The box of an annotation, or around its polygons; four times None if it has neither."""
    bbox, mask = annotation.get("bbox"), annotation.get("segmentation")
    if bbox:
        if not isinstance(bbox, list) or len(bbox) != 4:
            raise FieldError("ERROR_INVALID_BOUNDING_BOX", "its bbox must be a list of four numbers")
        left, top, width, height = bbox
        return (
            number_of(left, "bbox[0]"),
            number_of(top, "bbox[1]"),
            number_of(width, "bbox[2]"),
            number_of(height, "bbox[3]"),
        )
    return _around(mask) if mask else _NO_BOX


def _around(mask: object) -> _Edges:
    """The box around polygons, each a list `[x, y, x, y, …]`."""
    if not isinstance(mask, list) or not all(isinstance(polygon, list) and len(polygon) % 2 == 0 for polygon in mask):
        raise FieldError("ERROR_INVALID_BOUNDING_BOX", "it has no bbox, and its segmentation is no list of polygons")
    xs = [number_of(x, "each value of segmentation") for polygon in mask for x in polygon[::2]]
    ys = [number_of(y, "each value of segmentation") for polygon in mask for y in polygon[1::2]]
    if not xs:
        raise FieldError("ERROR_INVALID_BOUNDING_BOX", "it has no bbox, and the polygons of its segmentation are empty")
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def _rejections(database: sqlite3.Connection, coco: Sequence[_CocoFile]) -> Iterator[Rejection]:
    """What could not be put to any image."""
    for file, path, code, message in database.execute("SELECT * FROM rejections ORDER BY rowid"):
        yield Rejection(Place(coco[file].name), code, message, path)
    for file, position, id_ in database.execute(_REPEATED_IMAGES):
        message = f"the id {shown(id_)} is another image's, too; the first one is taken"
        yield Rejection(Place(coco[file].name), "ERROR_DUPLICATE_IMAGE_ID", message, f"images[{position}]")
    for file, position, image in database.execute(_STRAY_ANNOTATIONS):
        message = f"there is no image with the id {shown(image)}"
        yield Rejection(Place(coco[file].name), "ERROR_UNKNOWN_IMAGE", message, f"annotations[{position}]")
