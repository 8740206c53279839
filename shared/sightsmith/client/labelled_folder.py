"""A folder of images on the user's disk: `FOLDER/<label>/…` or `FOLDER/{train,test}/<label>/…`.

A folder named `train` (or `training`) that holds label folders makes the second layout; beside it `test` holds the
held-out images, or, where there is none, `val`, `valid` or `validation`. Case does not matter for these names.
"""

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
TRAIN_NAMES = frozenset({"train", "training"})
TEST_NAMES = frozenset({"test"})
VALIDATION_NAMES = frozenset({"val", "valid", "validation"})
MIN_LABELS = 2

_LITTER = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx"})
_LAYOUT = "expected FOLDER/<label>/<image> or FOLDER/{train,test}/<label>/<image>, with two labels or more"


class FolderError(ValueError):
    """The folder does not hold labelled images in a layout that is understood."""


@dataclass(frozen=True)
class ImageFile:
    """An image file.

    `path` opens the file; `source` is its path below the folder, with `/` between the parts and always encodable as
    UTF-8: bytes that are no UTF-8 are written as `\\xNN`, so that two files never share a source.
    """

    path: Path
    source: str


@dataclass(frozen=True)
class LabelledFile(ImageFile):
    """An image file and its label."""

    label: str


@dataclass(frozen=True)
class LabelledFolder:
    """What a folder holds, each part sorted by path.

    `test` is empty unless the folder has its own held-out part. `unlabelled` are images outside any label's folder;
    `ignored` is everything else that was not taken: files that are no images, links that lead outside, parts of the
    folder that belong to no split. Hidden files and what operating systems leave behind are in none of these.
    """

    train: tuple[LabelledFile, ...]
    test: tuple[LabelledFile, ...]
    unlabelled: tuple[ImageFile, ...]
    ignored: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the training part, sorted."""
        return tuple(sorted({file.label for file in self.train}))


def read_labelled_folder(folder: Path) -> LabelledFolder:
    """Lists the images of `folder` with their labels, without opening any of them.

    Raises:
        FolderError: the folder is missing, is no folder, cannot be read, or holds no images, or fewer than two labels.
    """
    contents = _read(folder)
    _check(folder, contents, MIN_LABELS)
    return contents


def read_image_folder(folder: Path) -> LabelledFolder:
    """As `read_labelled_folder`, but the images may all have one label, or none: be in no folder below it.

    Raises:
        FolderError: the folder is missing, is no folder, cannot be read, or holds no images.
    """
    contents = _read(folder)
    if contents.train or contents.test or not contents.unlabelled:
        _check(folder, contents, min_labels=1)
    return contents


def _read(folder: Path) -> LabelledFolder:
    try:
        if not folder.exists():
            raise FolderError(f"{_shown(folder)}: there is no such folder")
        if not folder.is_dir():
            raise FolderError(f"{_shown(folder)}: is a file, not a folder; {_LAYOUT}")
        return _Walk(folder).read()
    except OSError as error:
        at = _shown(error.filename or folder)
        raise FolderError(f"{_shown(folder)}: cannot be read: {error.strerror}: {at}") from error


class _Walk:
    """One pass over a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._real_root = _real(root)
        self._unlabelled: list[ImageFile] = []
        self._ignored: list[str] = []

    def read(self) -> LabelledFolder:
        train_parts, test_parts = self._splits()
        if train_parts:
            self._set_aside_all_but(train_parts + test_parts)
        return LabelledFolder(
            train=self._labelled(train_parts or [self._root]),
            test=self._labelled(test_parts),
            unlabelled=tuple(sorted(self._unlabelled, key=lambda file: file.source)),
            ignored=tuple(sorted(self._ignored)),
        )

    def _splits(self) -> tuple[list[Path], list[Path]]:
        """The folders of the training and the test part; none where the folder holds its labels directly."""
        folders = [path for path in self._children(self._root) if path.is_dir() and self._is_inside(path)]

        def named(names: frozenset[str]) -> list[Path]:
            return [path for path in folders if path.name.casefold() in names and self._holds_folders(path)]

        train, test = named(TRAIN_NAMES), named(TEST_NAMES) or named(VALIDATION_NAMES)
        # `train` may also be a label, of locomotives: then its images lie directly in it and no test part is beside.
        is_label = not test and any(_is_image(path) for part in train for path in self._children(part))
        return ([], []) if is_label or not train else (train, test)

    def _labelled(self, parts: list[Path]) -> tuple[LabelledFile, ...]:
        files: list[LabelledFile] = []
        for part in parts:
            for child in self._children(part):
                if child.is_dir() and self._is_inside(child):
                    files.extend(self._of_label(child))
                else:
                    self._set_aside(child)
        return tuple(sorted(files, key=lambda file: file.source))

    def _of_label(self, folder: Path) -> Iterator[LabelledFile]:
        # The same name typed on macOS (decomposed) and on Linux (composed) is one label.
        label = unicodedata.normalize("NFC", _shown(folder.name))
        for path in self._files_below(folder, frozenset()):
            if _is_image(path) and self._is_inside(path):
                yield LabelledFile(path, self._source(path), label)
            else:
                self._ignored.append(self._source(path))

    def _files_below(self, folder: Path, ancestors: frozenset[Path]) -> Iterator[Path]:
        """Everything below `folder` that is no folder, and links to folders that lead outside or back up."""
        here = ancestors | {_real(folder)}
        for path in self._children(folder):
            if path.is_dir() and self._is_inside(path) and _real(path) not in here:
                yield from self._files_below(path, here)
            else:
                yield path

    def _set_aside_all_but(self, parts: list[Path]) -> None:
        for child in self._children(self._root):
            if child in parts:
                continue
            if child.is_dir() and self._is_inside(child):
                self._ignored.extend(self._source(path) for path in self._files_below(child, frozenset()))
            else:
                self._set_aside(child)

    def _set_aside(self, path: Path) -> None:
        if _is_image(path) and self._is_inside(path):
            self._unlabelled.append(ImageFile(path, self._source(path)))
        else:
            self._ignored.append(self._source(path))

    def _holds_folders(self, folder: Path) -> bool:
        return any(path.is_dir() and self._is_inside(path) for path in self._children(folder))

    def _children(self, folder: Path) -> list[Path]:
        visible = (path for path in folder.iterdir() if not _is_litter(path.name))
        return sorted(visible, key=lambda path: path.name)

    def _is_inside(self, path: Path) -> bool:
        # Only a link can lead outside, because the walk itself only goes down.
        return not path.is_symlink() or _real(path).is_relative_to(self._real_root)

    def _source(self, path: Path) -> str:
        return _shown(path.relative_to(self._root).as_posix())


def _check(folder: Path, contents: LabelledFolder, min_labels: int) -> None:
    if contents.test and not contents.train:
        raise FolderError(f"{_shown(folder)}: its training part holds no labelled images; {_LAYOUT}")
    if not contents.train:
        strays = f"labelled images but {len(contents.unlabelled)} outside any label's folder"
        found = strays if contents.unlabelled else "images"
        others = f" ({len(contents.ignored)} other files)" if contents.ignored else ""
        raise FolderError(f"{_shown(folder)}: found no {found}{others}; {_LAYOUT}")
    if len(contents.labels) < min_labels:
        found = f"{len(contents.train)} images of the one label '{contents.labels[0]}'"
        raise FolderError(f"{_shown(folder)}: found {found}; {_LAYOUT}")


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _LITTER


def _real(path: Path) -> Path:
    # Unlike Path.resolve, this does not raise for a link that points at itself.
    return Path(os.path.realpath(path))


def _shown(path: str | Path) -> str:
    """The path as text that can be printed and encoded as UTF-8, whatever bytes it is made of."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
