"""Reading YOLO data sets."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.draft import ImageDraft
from sightsmith_labeling.formats.fields import FieldError, number_of, shown, source_of
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
from sightsmith_labeling.formats.splits import split_of
from sightsmith_labeling.formats.yolo_layout import YoloLayout, label_path, layout_of, listed_images

_IMAGES = "images"
_LABELS = "labels"
_MOST_DIGITS = 9
# How many numbers follow the class.
_BOX = 4
_PREDICTED = 5
_TRIANGLE = 6


@dataclass(frozen=True)
class _Listed:
    """An image that is to be read.

    Attributes:
        path: in the import, or as a list of images has it.
        split: what a list says that it is for.
        file: name of its bytes in the file tree; None if they are not in it.
    """

    place: Place
    path: str
    split: Split | None
    file: str | None


def read_yolo(tree: FileTree, limits: ReadLimits, expect: Expect) -> Iterator[ImportedImage | Rejection]:
    """See `Yolo.read`."""
    layout = layout_of(tree, limits)
    listed = _listed(tree, layout, limits)
    if not listed:
        message = "there are no images, and no list such as train.txt has their names"
        raise FormatError("ERROR_EMPTY_MANIFEST", message, Place(""))
    expect(len(listed))
    if layout.names is None:
        if not any(_apart(image.path)[0] for image in listed):
            message = "nothing names the classes: there is no data.yaml with names, no classes.txt and no obj.names"
            raise FormatError("ERROR_MANIFEST_INACCESSIBLE_OR_UNSUPPORTED_FORMAT", message, Place(""))
        yield from _images(listed, _take_folder, layout, limits)
    else:
        boxes = _BoxFiles(tree, layout.names, layout.has_keypoints, limits)
        yield from _images(listed, boxes.take, layout, limits)
        yield from boxes.strays()


def _listed(tree: FileTree, layout: YoloLayout, limits: ReadLimits) -> list[_Listed]:
    """The images of the import: those in the tree, and those that lists of images name beyond them."""
    files = ImageFiles(tree)
    splits: dict[str, Split | None] = {}
    elsewhere: dict[str, _Listed] = {}
    for name, split in layout.lists:
        for number, path in listed_images(tree, name, limits):
            if (file := files.find(path, name)) is not None:
                splits.setdefault(file, split)
            else:
                elsewhere.setdefault(path, _Listed(Place(name, number), path, split, None))
    there = [_Listed(Place(path), path, splits.get(path), path) for path in files]
    if len(there) + len(elsewhere) > limits.lines:
        message = f"there are more than {limits.lines} images, which is all that is accepted"
        raise FormatError("ERROR_MANIFEST_ROWS_EXCEEDS_MAXIMUM", message, Place(""))
    return there + list(elsewhere.values())


def _images(
    listed: list[_Listed], annotate: Callable[[ImageDraft, str], None], layout: YoloLayout, limits: ReadLimits
) -> Iterator[ImportedImage | Rejection]:
    is_unique = len({_short_name(image.path) for image in listed}) == len(listed)
    for image in listed:
        try:
            source = source_of(_short_name(image.path) if is_unique else image.path, limits)
        except FieldError as error:
            yield Rejection(image.place, error.code, str(error))
            continue
        split = image.split or layout.split_of_folder(image.path)
        draft = ImageDraft(image.place, source, limits, split=split, file=image.file, relative=True)
        annotate(draft, image.path)
        yield draft.finished()


def _short_name(path: str) -> str:
    return _apart(path)[1]


def _apart(path: str) -> tuple[str, str]:
    """The class that an image has by its folders, if any, and its path without the folders of the layout.

    The layouts are `images/train/…`, `train/images/…`, `images/…` and, with classes, `train/class/…`.
    """
    parts = path.split("/")
    for place, folder in enumerate(parts[:-1]):
        if folder == _IMAGES or split_of(folder):
            inner, *rest = parts[place + 1 :]
            if not rest:
                return "", inner
            if folder != _IMAGES and inner != _IMAGES:
                return inner, "/".join(rest)
            is_layout = inner == _IMAGES or split_of(inner) is not None
            return "", "/".join(rest if is_layout else [inner, *rest])
    return "", path


def _take_folder(draft: ImageDraft, path: str) -> None:
    """Labels an image by its folder."""
    label, _ = _apart(path)
    if label:
        draft.add_label(label)


class _BoxFiles:
    """The text files that hold the boxes."""

    def __init__(self, tree: FileTree, names: Mapping[int, object], has_keypoints: bool, limits: ReadLimits) -> None:
        self._tree = tree
        self._names = names
        self._has_keypoints = has_keypoints
        self._limits = limits
        self._files = ImageFiles(tree, {".txt"})
        self._unused = dict.fromkeys(self._files)

    def take(self, draft: ImageDraft, path: str) -> None:
        """Adds the boxes of an image to it."""
        for wanted in (label_path(path), f"{path.rpartition('.')[0]}.txt"):
            if (name := self._files.find(wanted)) is not None:
                self._unused.pop(name, None)
                self._take_file(draft, name)
                return

    def strays(self) -> Iterator[Rejection]:
        """The files of boxes that no image has."""
        for name in self._unused:
            if _LABELS in name.split("/")[:-1] and not name.endswith("/classes.txt"):
                message = "there is no image of this name in the import, and no list of images names one"
                yield Rejection(Place(name), "ERROR_UNKNOWN_IMAGE", message)

    def _take_file(self, draft: ImageDraft, name: str) -> None:
        with self._tree.open(name) as file:
            for number, line in numbered_lines(file, self._limits):
                path = f"{name}, line {number}"
                try:
                    self._take_line(draft, line, path)
                except UnicodeDecodeError:
                    draft.add_problem("ERROR_INVALID_ENCODING", "the line is not UTF-8", path)
                except FieldError as error:
                    draft.refuse(error, path)

    def _take_line(self, draft: ImageDraft, line: bytes | None, path: str) -> None:
        if line is None:
            raise FieldError("ERROR_LINE_TOO_LONG", f"it has more than {self._limits.line_characters} characters")
        class_, *numbers = line.decode().split() or [""]
        if not class_:
            return
        if not (class_.isdecimal() and len(class_) <= _MOST_DIGITS):
            raise FieldError(
                "ERROR_INVALID_LINE", f"it must begin with the number of a class, not with {shown(class_)}"
            )
        if int(class_) not in self._names:
            raise FieldError("ERROR_MISSING_CLASS_MAP_ID", f"there is no class with the number {int(class_)}")
        values = [number_of(value, "each value") for value in numbers]
        edges = self._edges(values)
        if not self._is_box(values):
            # Of the image and not of the line: data sets for segmentation have nothing but polygons.
            draft.add_note("WARNING_SHAPE_MADE_A_BOX", "only boxes are imported: the box around each polygon is taken")
        confidence = values[4] if len(values) == _PREDICTED and 0 <= values[4] <= 1 else None
        draft.add_box(self._names[int(class_)], *edges, path=path, confidence=confidence)

    def _is_box(self, values: list[float]) -> bool:
        return len(values) in (_BOX, _PREDICTED) or (self._has_keypoints and len(values) > _BOX)

    def _edges(self, values: list[float]) -> tuple[float, float, float, float]:
        """Left, top, width and height of a box, or of the box around a polygon."""
        if self._is_box(values):
            x, y, width, height = values[:_BOX]
            return x - width / 2, y - height / 2, width, height
        if len(values) >= _TRIANGLE and len(values) % 2 == 0:
            xs, ys = values[::2], values[1::2]
            return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
        raise FieldError(
            "ERROR_INVALID_LINE", "after the class must come x, y, width and height, or a polygon's points"
        )
