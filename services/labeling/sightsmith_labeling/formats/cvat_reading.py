"""Reading CVAT for images 1.1, element by element: nothing is held but the image that is being told of."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl

from defusedxml.expatreader import create_parser

from sightsmith_labeling.annotations import Origin
from sightsmith_labeling.formats.draft import ImageDraft
from sightsmith_labeling.formats.edges import length_between
from sightsmith_labeling.formats.fields import FieldError, number_of, shown, size_of, source_of
from sightsmith_labeling.formats.image_files import ImageFiles
from sightsmith_labeling.formats.outlines import Point, Sides, around, around_ellipse, corners, turned
from sightsmith_labeling.formats.records import FileTree, FormatError, ImportedImage, Place, ReadLimits, Rejection
from sightsmith_labeling.formats.splits import split_in, split_of
from sightsmith_labeling.formats.xml_faults import INVALID_XML, telling_xml_faults

_CHUNK = 64 * 1024
_MOST_BYTES_OF_A_CHARACTER = 4
# CVAT's own files are six deep, and have some dozens of names.
_MOST_DEPTH = 32
_MOST_NAMES = 1000

_ORIGINS = {"auto": Origin.MODEL}
_OTHER_SHAPES = frozenset({"points", "polyline", "cuboid", "skeleton"})


def read_cvat(tree: FileTree, limits: ReadLimits) -> Iterator[ImportedImage | Rejection]:
    """See `Cvat.read`."""
    files = [name for name in tree.names() if name.lower().endswith(".xml")] or list(tree.names())
    images = ImageFiles(tree)
    count = 0
    for name in files:
        handler = _Handler(name, limits, images)
        with tree.open(name) as file:
            for found in _parsed(file, handler, limits):
                count += 1
                if count > limits.lines:
                    message = f"there are more than {limits.lines} images, which is all that is accepted"
                    raise FormatError("ERROR_MANIFEST_ROWS_EXCEEDS_MAXIMUM", message, Place(name))
                yield found
    if count == 0:
        name = files[0] if files else ""
        raise FormatError("ERROR_EMPTY_MANIFEST", f"{name}: there is not one image in it", Place(name))


def _parsed(file: BinaryIO, handler: "_Handler", limits: ReadLimits) -> Iterator[ImportedImage | Rejection]:
    """What a handler finds in a file."""
    # A tag that has not ended is held by the parser, however long it is.
    most_held = limits.line_characters * _MOST_BYTES_OF_A_CHARACTER
    parser = create_parser(forbid_dtd=True)
    parser.setContentHandler(handler)
    handler.line_number = parser.getLineNumber
    held = 0
    while True:
        chunk = file.read(_CHUNK)
        events = handler.events
        try:
            with telling_xml_faults():
                parser.feed(chunk) if chunk else parser.close()
        except FieldError as error:
            raise FormatError(error.code, f"{handler.file}: {error}", Place(handler.file)) from error
        yield from handler.taken()
        if not chunk:
            return
        held = held + len(chunk) if handler.events == events else 0
        if held > most_held:
            message = f"{handler.file}: an element has more than {limits.line_characters} characters"
            raise FormatError("ERROR_LINE_TOO_LONG", message, Place(handler.file))


def _not_of_cvat(file: str, reason: str) -> FormatError:
    return FormatError(INVALID_XML, f"{file} is no file of CVAT for images: {reason}", Place(file))


class _Handler(ContentHandler):
    """Is told of elements, and keeps the images that they make until somebody takes them.

    Attributes:
        events: how many tags and pieces of text it was told of.
        line_number: tells how far the parser is.
    """

    def __init__(self, file: str, limits: ReadLimits, images: ImageFiles) -> None:
        super().__init__()
        self.file = file
        self.events = 0
        self.line_number: Callable[[], int | None] = lambda: 0
        self._limits = limits
        self._images = images
        self._open: list[str] = []
        self._names: set[str] = set()
        self._found: list[ImportedImage | Rejection] = []
        self._draft: ImageDraft | None = None
        self._image_count = 0
        self._shape_count = 0

    def taken(self) -> Sequence[ImportedImage | Rejection]:
        """What was found since the last time."""
        found, self._found = self._found, []
        return found

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802  The parser calls it by this name.
        self.events += 1
        self._hold_limits(name, attrs)
        if not self._open and name != "annotations":
            raise _not_of_cvat(self.file, f"its outermost element must be annotations, not {shown(name)}")
        if self._open == ["annotations"]:
            if name == "image":
                self._begin_image(attrs)
            elif name == "track":
                message = "tracks are of videos; export the task from CVAT in the format for images"
                self._found.append(Rejection(self._place, "ERROR_UNSUPPORTED_SHAPE", message))
        elif self._draft is not None and self._open == ["annotations", "image"]:
            self._add_shape(self._draft, name, attrs)
        self._open.append(name)

    def endElement(self, name: str) -> None:  # noqa: N802  The parser calls it by this name.
        self.events += 1
        self._open.pop()
        if self._draft is not None and len(self._open) == 1:
            self._found.append(self._draft.finished())
            self._draft = None

    def characters(self, content: str) -> None:
        # Text means nothing here, and the parser passes it on in pieces.
        self.events += 1

    @property
    def _place(self) -> Place:
        return Place(self.file, self.line_number() or 0)

    def _hold_limits(self, name: str, attrs: AttributesImpl) -> None:
        # The parser holds every name that it has ever met, and every element that is open.
        self._names.update(attrs.keys(), (name,))
        if len(self._open) >= _MOST_DEPTH or len(self._names) > _MOST_NAMES:
            raise _not_of_cvat(self.file, "it has too many kinds of elements, or too many within each other")

    def _begin_image(self, attrs: AttributesImpl) -> None:
        self._image_count += 1
        self._shape_count = 0
        try:
            source = source_of(attrs.get("name"), self._limits)
        except FieldError as error:
            self._found.append(Rejection(self._place, error.code, str(error), f"image[{self._image_count - 1}]"))
            return
        split = split_of(attrs.get("subset", "")) or split_in(reversed(self.file.split("/")))
        image_file = self._images.find(source, self.file, split)
        self._draft = ImageDraft(self._place, source, self._limits, split=split, file=image_file)
        try:
            self._draft.size = size_of(attrs.get("width"), attrs.get("height"))
        except FieldError as error:
            self._draft.refuse(error)

    def _add_shape(self, draft: ImageDraft, name: str, attrs: AttributesImpl) -> None:
        path = f"{name}[{self._shape_count}]"
        self._shape_count += 1
        origin = _ORIGINS.get(attrs.get("source", ""), Origin.IMPORT)
        if name == "tag":
            draft.add_label(attrs.get("label"), path, origin=origin)
        elif name in _OTHER_SHAPES:
            message = f"shapes of the kind {name} have no box that would say the same; they are not imported"
            draft.add_problem("ERROR_UNSUPPORTED_SHAPE", message, path)
        elif name in _SHAPES:
            try:
                left, top, width, height = _SHAPES[name](attrs, draft.size)
            except FieldError as error:
                draft.refuse(error, path)
                return
            if name != "box" or _rotation(attrs):
                message = "only upright boxes are imported: the box around the shape is taken"
                draft.add_note("WARNING_SHAPE_MADE_A_BOX", message, path)
            draft.add_box(attrs.get("label"), left, top, width, height, path, origin=origin)


_Attributes = Mapping[str, str] | AttributesImpl


def _box(attrs: _Attributes, size: Point | None) -> Sides:
    left, top, right, bottom = (number_of(attrs.get(edge), edge) for edge in ("xtl", "ytl", "xbr", "ybr"))
    width, height = length_between(attrs["xtl"], attrs["xbr"]), length_between(attrs["ytl"], attrs["ybr"])
    sides = left, top, width, height
    rotation = _rotation(attrs)
    if not rotation:
        return sides
    return around(turned(corners(*sides), ((left + right) / 2, (top + bottom) / 2), rotation), size)


def _polygon(attrs: _Attributes, size: Point | None) -> Sides:
    points = [point.split(",") for point in attrs.get("points", "").split(";")]
    if any(len(point) != 2 for point in points):
        raise FieldError(
            "ERROR_INVALID_BOUNDING_BOX", f"points must be pairs of numbers, not {shown(attrs.get('points'))}"
        )
    return around([(number_of(x, "x"), number_of(y, "y")) for x, y in points], size)


def _ellipse(attrs: _Attributes, size: Point | None) -> Sides:
    x, y, radius_x, radius_y = (number_of(attrs.get(name), name) for name in ("cx", "cy", "rx", "ry"))
    return around_ellipse((x, y), radius_x, radius_y, _rotation(attrs), size)


def _mask(attrs: _Attributes, size: Point | None) -> Sides:
    left, top, width, height = (number_of(attrs.get(side), side) for side in ("left", "top", "width", "height"))
    return left, top, width, height


def _rotation(attrs: _Attributes) -> float:
    return number_of(attrs.get("rotation", "0"), "rotation")


_SHAPES: Mapping[str, Callable[[_Attributes, Point | None], Sides]] = {
    "box": _box,
    "polygon": _polygon,
    "ellipse": _ellipse,
    "mask": _mask,
}
