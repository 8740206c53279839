"""What the files of a YOLO data set say beyond the boxes: names of the classes, splits, lists of images."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import yaml

from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.fields import shown
from sightsmith_labeling.formats.image_files import is_image
from sightsmith_labeling.formats.manifest_lines import numbered_lines
from sightsmith_labeling.formats.records import FileTree, FormatError, Place, ReadLimits
from sightsmith_labeling.formats.splits import split_in, split_of

# Ten thousand names have some hundred kilobytes.
_MOST_YAML_BYTES = 1024 * 1024
_MOST_YAML_DEPTH = 20
# All values stay text, so that a class called `no` or `1` keeps its name.
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@dataclass
class YoloLayout:
    """How a data set is laid out.

    Attributes:
        names: of the classes, unchecked, by number; None if no file names them, as with a folder for each class.
        has_keypoints: whether lines go on with key points after the box.
        lists: files that list images, with the split that they are for.
    """

    names: Mapping[int, str] | None = None
    has_keypoints: bool = False
    lists: list[tuple[str, Split | None]] = field(default_factory=list)
    _folders: list[tuple[tuple[str, ...], Split]] = field(default_factory=list)

    def split_of_folder(self, path: str) -> Split | None:
        """What an image is for by the folders that it is in."""
        folders = PurePosixPath(path).parent.parts
        for wanted, split in self._folders:
            if any(folders[start : start + len(wanted)] == wanted for start in range(len(folders))):
                return split
        return split_in(reversed(folders))

    def add_place(self, place: str, split: Split) -> None:
        """Adds a folder or a list of images that `data.yaml` names, often by a path of another machine."""
        parts = tuple(part for part in place.replace("\\", "/").split("/") if part not in ("", ".", ".."))
        if parts and not place.endswith(".txt"):
            self._folders.append((parts, split))


def layout_of(tree: FileTree, limits: ReadLimits) -> YoloLayout:
    """Finds out how a data set is laid out.

    Raises:
        FormatError: if a file that says so cannot be read.
    """
    layout = YoloLayout()
    for name in tree.names():
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in (".yaml", ".yml"):
            _take_description(layout, tree, name)
    for name in tree.names():
        path = PurePosixPath(name)
        if layout.names is None and (path.name == "classes.txt" or path.suffix == ".names"):
            layout.names = _names_by_line(tree, name, limits)
        if path.suffix == ".txt" and split_of(path.stem) and is_image(_first_line(tree, name, limits)):
            layout.lists.append((name, split_of(path.stem)))
    layout.lists.sort(key=lambda found: found[1] is not Split.TRAIN)
    return layout


def listed_images(tree: FileTree, name: str, limits: ReadLimits) -> Iterator[tuple[int, str]]:
    """The numbers of the lines and the paths in a list of images."""
    for number, path in _lines(tree, name, limits):
        if path:
            yield number, path.removeprefix("./")


def label_path(path: str) -> str:
    """Where the boxes of an image are: in a `.txt` of its name, in `labels` where the image is in `images`.

    The last folder `images` counts, as in Ultralytics' `img2label_paths`.
    """
    *folders, name = path.split("/")
    if "images" in folders:
        folders[len(folders) - 1 - folders[::-1].index("images")] = "labels"
    return "/".join([*folders, f"{PurePosixPath(name).stem}.txt"])


def _take_description(layout: YoloLayout, tree: FileTree, name: str) -> None:
    content = _parsed(tree, name)
    if not isinstance(content, dict) or "names" not in content:
        return
    names = _names(content["names"], name)
    if layout.names is not None and layout.names != names:
        message = f"{name} names other classes than the YAML file before it"
        raise FormatError("ERROR_DUPLICATE_CATEGORY", message, Place(name))
    layout.names = names
    layout.has_keypoints = "kpt_shape" in content
    for key, places in content.items():
        if (split := split_of(str(key))) is not None:
            for place in places if isinstance(places, list) else [places]:
                if isinstance(place, str):
                    layout.add_place(place, split)


def _names(names: object, file: str) -> Mapping[int, str]:
    """The names of classes from a list, or from a mapping of numbers to names."""
    if isinstance(names, list):
        names = dict(enumerate(names))
    try:
        return {int(number): name for number, name in names.items()}  # type: ignore[attr-defined]
    except (AttributeError, TypeError, ValueError):
        message = f"{file}: names must be a list or a mapping of numbers to names, not {shown(names)}"
        raise FormatError("ERROR_INVALID_YAML", message, Place(file)) from None


def _parsed(tree: FileTree, name: str) -> Any:
    """A YAML file as text, lists and mappings."""
    if tree.size(name) > _MOST_YAML_BYTES:
        message = f"{name} has {tree.size(name)} bytes; at most {_MOST_YAML_BYTES} are accepted"
        raise FormatError("ERROR_FILE_TOO_LARGE", message, Place(name))
    with tree.open(name) as file:
        content = file.read(_MOST_YAML_BYTES)
    try:
        text = content.decode("utf-8-sig")
        _require_plain(text)
        return yaml.load(text, Loader=_LOADER)  # noqa: S506  # It makes nothing but text, lists and mappings.
    except UnicodeDecodeError as error:
        raise FormatError("ERROR_INVALID_ENCODING", f"{name} is not UTF-8", Place(name)) from error
    except (yaml.YAMLError, ValueError) as error:
        message = f"{name} is not valid YAML: {shown(' '.join(str(error).split()))}"
        raise FormatError("ERROR_INVALID_YAML", message, Place(name)) from error


def _require_plain(text: str) -> None:
    """Refuses what makes a small file huge: references to earlier parts, and depth without end."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("references (*name) are not accepted")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MOST_YAML_DEPTH:
            raise ValueError(f"more than {_MOST_YAML_DEPTH} values are within each other")


def _names_by_line(tree: FileTree, name: str, limits: ReadLimits) -> Mapping[int, str]:
    lines = [line for _, line in _lines(tree, name, limits)]
    while lines and not lines[-1]:
        lines.pop()
    return dict(enumerate(lines))


def _first_line(tree: FileTree, name: str, limits: ReadLimits) -> str:
    return next((line for _, line in _lines(tree, name, limits) if line), "")


def _lines(tree: FileTree, name: str, limits: ReadLimits) -> Iterator[tuple[int, str]]:
    """The lines of a file with their numbers, without white space around them.

    Raises:
        FormatError: if one of them cannot be read, or if there are more than are accepted.
    """
    with tree.open(name) as file:
        for number, line in numbered_lines(file, limits):
            if line is None:
                message = f"{name}, line {number}: it has more than {limits.line_characters} characters"
                raise FormatError("ERROR_LINE_TOO_LONG", message, Place(name, number))
            if number > limits.lines:
                message = f"{name} has more than {limits.lines} lines, which is all that is accepted"
                raise FormatError("ERROR_MANIFEST_ROWS_EXCEEDS_MAXIMUM", message, Place(name, number))
            try:
                yield number, line.decode().strip()
            except UnicodeDecodeError as error:
                message = f"{name}, line {number}: it is not UTF-8"
                raise FormatError("ERROR_INVALID_ENCODING", message, Place(name, number)) from error
