"""Annotations and images on the user's disk as one archive to be imported."""

import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from sightsmith.client.labelled_folder import (
    IMAGE_SUFFIXES,
    TEST_NAMES,
    TRAIN_NAMES,
    VALIDATION_NAMES,
    FolderError,
)

_ANNOTATION_SUFFIXES = frozenset({".json", ".jsonl", ".manifest", ".xml", ".csv", ".tsv", ".yaml", ".yml"})
# What YOLO's data sets say of themselves.
_ANNOTATION_FILES = frozenset({"classes.txt", "obj.names", "obj.data", "train.txt", "val.txt", "test.txt"})
_ANNOTATION_FOLDERS = frozenset({"annotations", "labels", "imagesets"})
_SPLITS = TRAIN_NAMES | TEST_NAMES | VALIDATION_NAMES
# What the images lie below in the archive, beside the annotations.
_IMAGES = "images"


def holds_annotations(folder: Path) -> bool:
    """Whether a folder holds annotation files, and not only images in folders that are named after labels.

    Many tools write them into the folders of the training and the test images.

    Raises:
        OSError: if the folder cannot be read.
    """
    entries = list(folder.iterdir())
    parts = [entry for entry in entries if entry.is_dir() and entry.name.lower() in _SPLITS]
    return any(
        (entry.is_dir() and entry.name.lower() in _ANNOTATION_FOLDERS)
        or entry.name.lower() in _ANNOTATION_FILES
        or (entry.is_file() and entry.suffix.lower() in _ANNOTATION_SUFFIXES)
        for entry in chain(entries, *(part.iterdir() for part in parts))
    )


def pack(annotations: Path, images: Path | None, target: Path) -> int:
    """Writes a zip archive of annotations and images.

    Args:
        annotations: a file, a folder or a zip archive.
        images: a folder of images that go along; None if they are in the folder already, or on the server.
        target: the archive.

    Returns:
        How many files are in it.

    Raises:
        FolderError: if the annotations are an archive that is not taken together with images.
        OSError: if a file cannot be read.
    """
    # Images are packed already, and annotations are small beside them: packing once more would only take time.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        if annotations.is_dir():
            for path in _files(annotations):
                archive.write(path, path.relative_to(annotations))
        elif zipfile.is_zipfile(annotations):
            _repack(annotations, archive)
        elif tarfile.is_tarfile(annotations) or annotations.suffix.lower() == ".zip":
            raise FolderError(f"{annotations}: unpack it, and give the folder together with --images")
        else:
            archive.write(annotations, annotations.name)
        if images is not None:
            for path in _files(images):
                if path.suffix.lower() in IMAGE_SUFFIXES:
                    archive.write(path, Path(_IMAGES) / path.relative_to(images))
        return len(archive.namelist())


def _repack(source: Path, archive: zipfile.ZipFile) -> None:
    """Copies what is in an archive: as a file in the new one, nobody would look into it."""
    with zipfile.ZipFile(source) as packed:
        for member in packed.infolist():
            if not member.is_dir():
                with packed.open(member) as file, archive.open(member.filename, "w", force_zip64=True) as copy:
                    shutil.copyfileobj(file, copy)


def _files(folder: Path) -> Iterator[Path]:
    """The files below a folder, ordered; hidden ones and links do not count."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(parent) / name
            if not name.startswith(".") and not path.is_symlink():
                yield path
