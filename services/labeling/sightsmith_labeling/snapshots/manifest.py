"""The manifest of a snapshot: a file of JSON Lines, a `SnapshotEntry` each, written without holding it in memory."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sightsmith.objects import image_key
from sightsmith_labeling.annotations import Annotation, Box, whole_image_labels
from sightsmith_labeling.datasets import Split

_JSON = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True)
class Entry:
    """An image of a snapshot."""

    image: str
    sha256: str
    split: Split
    annotations: tuple[Annotation, ...]
    source: str
    width: int
    height: int


@dataclass(frozen=True)
class SnapshotLabelCount:
    """How many images of a snapshot carry a label, on the whole or in a box, and how many boxes of it there are."""

    label: str
    train_image_count: int
    test_image_count: int
    train_box_count: int = 0
    test_box_count: int = 0


@dataclass(frozen=True)
class Manifest:
    """A manifest that is written.

    Attributes:
        sha256: SHA-256 of the file, in lower-case hexadecimal digits.
        label_counts: ordered by label.
    """

    path: Path
    sha256: str
    train_image_count: int
    test_image_count: int
    unlabelled_image_count: int
    label_counts: Sequence[SnapshotLabelCount]

    @property
    def key(self) -> str:
        """Key in the object store, made from the content."""
        return f"snapshots/{self.sha256}.jsonl"


class ManifestWriter:
    """Writes a manifest into a folder: the training images first, then the test images, each in the order of adding."""

    def __init__(self, folder: Path) -> None:
        self._parts = {split: _Part(folder / f"{split.value}.jsonl") for split in Split}

    def add(self, entry: Entry) -> None:
        """Adds an image."""
        self._parts[entry.split].add(entry)

    def finish(self) -> Manifest:
        """Ends the manifest; nothing can be added after this."""
        train, test = self._parts[Split.TRAIN], self._parts[Split.TEST]
        test.file.seek(0)
        shutil.copyfileobj(test.file, train.file)
        test.file.close()
        train.file.seek(0)
        sha256 = hashlib.file_digest(train.file, "sha256").hexdigest()
        train.file.close()
        return Manifest(
            path=train.path,
            sha256=sha256,
            train_image_count=train.image_count,
            test_image_count=test.image_count,
            unlabelled_image_count=train.unlabelled_image_count + test.unlabelled_image_count,
            label_counts=_label_counts(train, test),
        )


class _Part:
    """The lines of one split."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path.open("w+b")
        self.image_count = 0
        self.unlabelled_image_count = 0
        self.label_counts: Counter[str] = Counter()
        self.box_counts: Counter[str] = Counter()

    def add(self, entry: Entry) -> None:
        self.file.write(manifest_line(entry))
        self.image_count += 1
        self.unlabelled_image_count += not entry.annotations
        self.label_counts.update({annotation.label for annotation in entry.annotations})
        self.box_counts.update(annotation.label for annotation in entry.annotations if annotation.box is not None)


def manifest_line(entry: Entry) -> bytes:
    """A `SnapshotEntry` in protobuf's JSON mapping, with the proto's field names, sorted, and a line end.

    Written here and not by protobuf's own JSON writer, which is ten times slower, and neither sorts nor promises to
    write the same bytes in its next version.
    """
    fields = {
        "image": entry.image,
        "sha256": entry.sha256,
        "key": image_key(entry.sha256),
        "split": f"SPLIT_{entry.split.name}",
        "labels": whole_image_labels(entry.annotations),
        "source": entry.source,
        "boxes": [{"label": label, "box": _pixels(box)} for label, box in ordered_boxes(entry.annotations)],
        "width": entry.width,
        "height": entry.height,
    }
    return _JSON.encode(fields).encode() + b"\n"


def ordered_boxes(annotations: Iterable[Annotation]) -> list[tuple[str, Box]]:
    """The boxes in an order that does not depend on who made them when, so that equal data makes equal manifests."""
    boxes = [(annotation.label, annotation.box) for annotation in annotations if annotation.box is not None]
    return sorted(boxes, key=lambda found: (found[0], found[1].left, found[1].top, found[1].width, found[1].height))


def _pixels(box: Box) -> dict[str, float]:
    # JSON has two ways to write 2.0, and equal data must make equal manifests.
    return {side: float(pixels) for side, pixels in vars(box).items()}


def _label_counts(train: _Part, test: _Part) -> Sequence[SnapshotLabelCount]:
    return [
        SnapshotLabelCount(
            label,
            train.label_counts[label],
            test.label_counts[label],
            train.box_counts[label],
            test.box_counts[label],
        )
        for label in sorted(train.label_counts.keys() | test.label_counts.keys())
    ]
