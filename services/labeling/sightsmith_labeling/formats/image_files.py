"""The image files of an import, found by the names that annotation files have for them."""

from collections import defaultdict
from collections.abc import Container, Iterator
from pathlib import PurePosixPath

from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.records import FileTree
from sightsmith_labeling.formats.splits import split_in

_IMAGES = "images"
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})


class ImageFiles:
    """Finds images in a file tree.

    Annotation files name an image by its bare name, by a path from some folder of the import, by a path of the machine
    that made them, or by a URL. A file is meant if its path and the name agree as far back as both go. The path begins
    below the folders that everything is in, and below a folder `images` that all images are in; that of a URL behind
    its host or bucket.

    Args:
        tree: the files.
        suffixes: of the files that are looked at, in lower case.
    """

    def __init__(self, tree: FileTree, suffixes: Container[str] = IMAGE_SUFFIXES) -> None:
        self._paths: dict[str, list[str]] = defaultdict(list)
        root: list[str] | None = None
        root_of_images: list[str] | None = None
        for path in tree.names():
            *folders, name = path.split("/")
            root = _common_start(root, folders)
            if PurePosixPath(name).suffix.lower() in suffixes:
                root_of_images = _common_start(root_of_images, folders)
                self._paths[name].append(path)
        depth = len(root or ())
        are_in_images = (root_of_images or [])[depth : depth + 1] == [_IMAGES]
        self._depth_of_root = depth + are_in_images

    def __iter__(self) -> Iterator[str]:
        """The paths of all images, ordered."""
        return iter(sorted(path for paths in self._paths.values() for path in paths))

    def find(self, name: str, beside: str = "", split: Split | None = None) -> str | None:
        """The path of the image that is meant by a name; None if there is none, or no telling which.

        Args:
            name: of the image, in an annotation file.
            beside: path of the annotation file: of several images the one that is closest to it is meant.
            split: what the image is for: of several images the one in a folder of that name is meant.
        """
        if not self._paths:
            return None
        if "://" in name:
            name = name.partition("://")[2].partition("/")[2]
        wanted = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        if not wanted:
            return None
        there = self._paths.get(wanted[-1], ())
        found = [path for path in there if self._agrees(path, wanted)]
        if len(found) < 2:
            return found[0] if found else None
        ranks = [self._rank(path, wanted, beside, split) for path in found]
        best = max(ranks)
        return found[ranks.index(best)] if ranks.count(best) == 1 else None

    def _agrees(self, path: str, wanted: list[str]) -> bool:
        parts = path.split("/")[self._depth_of_root :]
        length = min(len(parts), len(wanted))
        return parts[-length:] == wanted[-length:]

    def _rank(self, path: str, wanted: list[str], beside: str, split: Split | None) -> tuple[bool, bool, int]:
        *folders, _ = parts = path.split("/")
        is_of_split = split is not None and split_in(reversed(folders)) is split
        return parts == wanted, is_of_split, len(_common_start(folders, beside.split("/")[:-1]))


def is_image(path: str) -> bool:
    """Whether a file is an image by its name."""
    return PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES


def _common_start(folders: list[str] | None, others: list[str]) -> list[str]:
    """The folders that two paths have in common from the root on; the others if there are none to compare with."""
    if folders is None:
        return others
    for depth, (folder, other) in enumerate(zip(folders, others, strict=False)):
        if folder != other:
            return folders[:depth]
    return folders[: len(others)]
