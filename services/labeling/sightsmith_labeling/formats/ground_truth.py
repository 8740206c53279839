"""Manifests of SageMaker Ground Truth and Amazon Rekognition Custom Labels: JSON Lines, an image each."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from sightsmith_labeling.annotations import Annotation, Origin
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.image_files import ImageFiles, is_image
from sightsmith_labeling.formats.manifest_attributes import CLASSIFICATION, DETECTION
from sightsmith_labeling.formats.manifest_check import check_line
from sightsmith_labeling.formats.manifest_lines import check_line_count, numbered_lines
from sightsmith_labeling.formats.manifest_rules import import_rules
from sightsmith_labeling.formats.records import (
    Expect,
    ExportedImage,
    FileTree,
    FormatError,
    ImportedImage,
    Place,
    ReadLimits,
    Rejection,
    Sink,
    expect_nothing,
)
from sightsmith_labeling.formats.split_files import write_by_split
from sightsmith_labeling.formats.splits import split_in

_FILES = {Split.TRAIN: "train.manifest", Split.TEST: "test.manifest"}
_SUFFIXES = (".manifest", ".jsonl", ".ndjson")
_S3 = "s3://"
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_DEPTH = 3  # Channels of a colour image: the key must be there, and nobody reads it.


class GroundTruth:
    """Reads and writes such manifests.

    Reading takes one attribute for each label, several of them, Ground Truth's own multi-label form, boxes, and any
    mixture. Labels that people made come as `Origin.IMPORT`, those of models as `Origin.MODEL`, with the job as author.
    """

    name: ClassVar[str] = "ground_truth"

    def read(
        self, tree: FileTree, limits: ReadLimits, scratch: Path, expect: Expect = expect_nothing
    ) -> Iterator[ImportedImage | Rejection]:
        """Reads every manifest of an import; see `Format.read`.

        Manifests are the files that end in `.manifest`, `.jsonl` or `.ndjson`; if there are none, in `.json`; or else
        the only file that is no image. One with `train` or `test` in its name says what its images are for.
        """
        manifests = _manifests(tree)
        left = limits.lines
        for manifest in manifests:
            with tree.open(manifest) as file:
                left -= check_line_count(file, manifest, replace(limits, lines=left))
        expect(limits.lines - left)
        images = ImageFiles(tree)
        for manifest in manifests:
            yield from _read_manifest(tree, manifest, limits, images)

    def image_path(self, image: ExportedImage) -> str:
        """Where an image's bytes belong in an export."""
        return f"images/{image.file_name}"

    def write(self, images: Iterable[ExportedImage], labels: Sequence[str], sink: Sink, scratch: Path) -> None:
        """Writes `train.manifest` and `test.manifest`, each if it has images; see `Format.write`.

        Raises:
            FormatError: if an image has boxes and its size is not known.
        """
        class_ids = {label: class_id for class_id, label in enumerate(labels)}
        lines = ((image.split, ground_truth_line(image, class_ids)) for image in images)
        write_by_split(lines, _FILES, sink, scratch)


def ground_truth_line(image: ExportedImage, class_ids: dict[str, int]) -> bytes:
    """A line of a manifest, with its line end.

    Args:
        image: what is told.
        class_ids: a number for each label; labels that are not in it are added.

    Raises:
        FormatError: if the image has boxes and its size is not known.
    """
    for annotation in image.annotations:
        class_ids.setdefault(annotation.label, len(class_ids))
    line: dict[str, Any] = {"source-ref": _source_ref(image)}
    of_image = [annotation for annotation in image.annotations if annotation.box is None]
    for index, annotation in enumerate(of_image):
        line[f"label-{index}"] = class_ids[annotation.label]
        line[f"label-{index}-metadata"] = {
            "class-name": annotation.label,
            "confidence": _confidence(annotation),
            "type": CLASSIFICATION,
            **_authorship([annotation]),
        }
    boxes = [annotation for annotation in image.annotations if annotation.box is not None]
    for attribute, annotations in _by_authorship(boxes):
        line[attribute] = {
            "image_size": [_image_size(image)],
            "annotations": [_box(annotation, class_ids) for annotation in annotations],
        }
        line[f"{attribute}-metadata"] = {
            "objects": [{"confidence": _confidence(annotation)} for annotation in annotations],
            "class-map": {str(class_ids[annotation.label]): annotation.label for annotation in annotations},
            "type": DETECTION,
            **_authorship(annotations),
        }
    return _JSON.encode(line).encode() + b"\n"


def _manifests(tree: FileTree) -> Sequence[str]:
    names = [name for name in tree.names() if not is_image(name)]
    for suffixes in (_SUFFIXES, (".json",)):
        manifests = [name for name in names if name.lower().endswith(suffixes)]
        if manifests:
            return manifests
    if len(names) != 1:
        message = f"there is no manifest: no file ends in {', '.join(_SUFFIXES)} or .json"
        raise FormatError("ERROR_MANIFEST_INACCESSIBLE_OR_UNSUPPORTED_FORMAT", message, Place(""))
    return names


def _read_manifest(
    tree: FileTree, manifest: str, limits: ReadLimits, images: ImageFiles
) -> Iterator[ImportedImage | Rejection]:
    rules = import_rules(limits)
    split = split_in(reversed(PurePosixPath(manifest).parts))
    has_images = any(True for _ in images)
    with tree.open(manifest) as file:
        for number, line in numbered_lines(file, limits):
            checked = check_line(line, rules, Place(manifest, number), split)
            if checked.rejection is not None:
                yield checked.rejection
            elif checked.image is not None:
                image_file = images.find(checked.image.source, manifest, split) if has_images else None
                yield replace(checked.image, file=image_file) if image_file else checked.image


def _source_ref(image: ExportedImage) -> str:
    """Where the bytes are: inside the export, where they were when they were imported, or in our object store."""
    if image.is_packed or not (image.source.startswith(_S3) and image.url.startswith(_S3)):
        return image.url
    return image.source


def _by_authorship(boxes: Sequence[Annotation]) -> Iterator[tuple[str, Sequence[Annotation]]]:
    """Boxes by attribute: one says for all its boxes whether a person made them, so those of models have their own."""
    for attribute, are_of_models in (("boxes", False), ("boxes-of-models", True)):
        annotations = [box for box in boxes if (box.origin is Origin.MODEL) is are_of_models]
        if annotations:
            yield attribute, annotations


def _image_size(image: ExportedImage) -> dict[str, int]:
    if image.width is None or image.height is None:
        message = (
            f"the size of {image.source} is not known yet, and a manifest with boxes must tell it: "
            "wait until its bytes are there, or export only images that are ready"
        )
        raise FormatError("ERROR_UNKNOWN_IMAGE_SIZE", message, Place(""))
    return {"width": image.width, "height": image.height, "depth": _DEPTH}


def _box(annotation: Annotation, class_ids: Mapping[str, int]) -> dict[str, float]:
    sides = vars(annotation.box)
    return {"class_id": class_ids[annotation.label], **{side: _short(sides[side]) for side in sides}}


def _short(value: float) -> float:
    """Whole pixels as whole numbers, which is what Custom Labels itself writes."""
    return int(value) if value == int(value) else value


def _confidence(annotation: Annotation) -> float:
    return 1 if annotation.confidence is None else annotation.confidence


def _authorship(annotations: Sequence[Annotation]) -> dict[str, str]:
    authors = {annotation.author for annotation in annotations}
    author = authors.pop() if len(authors) == 1 else ""
    time = max(annotation.create_time for annotation in annotations).astimezone(UTC).replace(tzinfo=None)
    said = {
        "human-annotated": "no" if annotations[0].origin is Origin.MODEL else "yes",
        "creation-date": time.isoformat(timespec="milliseconds"),
    }
    return said | {"job-name": author} if author else said
