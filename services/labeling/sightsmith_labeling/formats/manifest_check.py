"""Checks a line of a Ground Truth manifest: everything that is wrong with it, at once.

Custom Labels shows some faults only once others are mended, so that a manifest is trained with again and again to find
them all. Here no fault hides another, except where there is nothing left to look at.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum, Flag
from typing import Any, NoReturn

from sightsmith_labeling.annotations import NewAnnotation
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats import manifest_codes as codes
from sightsmith_labeling.formats.fields import FieldError, source_of
from sightsmith_labeling.formats.manifest_attributes import Attribute, check_attribute
from sightsmith_labeling.formats.manifest_codes import Code, Cost, Fault
from sightsmith_labeling.formats.manifest_rules import ManifestRules
from sightsmith_labeling.formats.records import ImportedImage, Place, ReadLimits, Rejection
from sightsmith_labeling.images import Problem

_SOURCE = "source-ref"
_METADATA = "-metadata"
_S3 = "s3://"
# What an earlier check has left in a line.
_MARKS = frozenset({"errors", "warnings", "cl-errors", "cl-warnings", "cl-metadata"})
_NOT_ATTRIBUTES = _MARKS | {_SOURCE}

# A line of 100,000 characters has room for thousands of faults; a longer list helps nobody.
_MOST_FAULTS = 100

_DEFAULT_RULES = ManifestRules()
_NO_PLACE = Place("")


class Outcome(Enum):
    """What becomes of a line in a training."""

    VALID = "valid"
    INVALID = "invalid"
    IGNORED = "ignored"


class Use(Flag):
    """What a line's sound annotations can be used for."""

    NOTHING = 0
    IMAGE_LABELS = 1
    BOXES = 2


_USES = {
    (False, False): Use.NOTHING,
    (True, False): Use.IMAGE_LABELS,
    (False, True): Use.BOXES,
    (True, True): Use.IMAGE_LABELS | Use.BOXES,
}


@dataclass(frozen=True)
class CheckedLine:
    """A line that was checked.

    Attributes:
        text: the line.
        outcome: what becomes of it in a training.
        use: of its sound annotations.
        image: what is imported of it; None if it is rejected.
        rejection: why nothing is; None if something is.
        faults: everything that is wrong with it.
    """

    text: str
    outcome: Outcome
    use: Use
    image: ImportedImage | None
    rejection: Rejection | None
    faults: tuple[Fault, ...] = ()

    def annotated(self, more: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The line with its faults written into it, where Custom Labels writes them.

        A line that is no JSON object is replaced by one that only has the fault. What an earlier check had written is
        left out.

        Args:
            more: further faults of the whole line, found by others: messages by code, as `ERROR_INVALID_IMAGE`.
        """
        line = _object_of(self.text)
        if line is None:
            line = {}
        _strip_marks(line)
        for fault in self.faults:
            key = "warnings" if fault.code.is_warning else "errors"
            entry = {"code": fault.code.name, "message": fault.message}
            _container(line, fault).setdefault(key, []).append(entry)
        for code, message in (more or {}).items():
            key = "warnings" if code.startswith("WARNING") else "errors"
            line.setdefault(key, []).append({"code": code, "message": message})
        return line


def check_line(
    line: str | bytes | None,
    rules: ManifestRules = _DEFAULT_RULES,
    place: Place = _NO_PLACE,
    split: Split | None = None,
) -> CheckedLine:
    """Checks a line.

    Args:
        line: without its line end; None for a line that was too long to be held.
        rules: what it must keep.
        place: where it stands.
        split: what its manifest is for.
    """
    limits = rules.limits
    if isinstance(line, bytes):
        try:
            line = line.decode()
        except UnicodeDecodeError as error:
            return _rejected("", codes.INVALID_JSON_LINE, f"The line is not UTF-8: {error.reason}.", place)
    if line is None or len(line) > limits.line_characters:
        message = f"The line has more than {limits.line_characters} characters."
        return _rejected("", codes.LINE_TOO_LONG, message, place)
    try:
        value = _DECODER.decode(line)
    except (ValueError, RecursionError) as error:
        return _rejected(line, codes.INVALID_JSON_LINE, f"The line is not JSON: {_reason(error)}.", place)
    if not isinstance(value, dict):
        return _rejected(line, codes.INVALID_JSON_LINE, codes.INVALID_JSON_LINE.message, place)
    try:
        source = _source(value, rules)
    except FieldError as error:
        rejected = _rejected(line, codes.CODES[error.code], f"{error}.", place, _SOURCE)
        faults = list(rejected.faults)
        _check_attributes(value, rules, faults)
        return replace(rejected, faults=tuple(faults[:_MOST_FAULTS]))
    return _checked(line, value, source, rules, place, split)


def _checked(
    text: str, line: dict[str, Any], source: str, rules: ManifestRules, place: Place, split: Split | None
) -> CheckedLine:
    faults: list[Fault] = []
    attributes, size = _check_attributes(line, rules, faults)
    annotations = _within_limits(attributes, rules.limits, faults)
    _check_whole(line, attributes, annotations, faults)
    return CheckedLine(
        text=text,
        outcome=_outcome(annotations, faults),
        use=_use(annotations),
        image=ImportedImage(
            place=place,
            source=source,
            width=size[0] if size else None,
            height=size[1] if size else None,
            annotations=annotations,
            split=split,
            problems=tuple(
                Problem(fault.code.name, fault.message, fault.path) for fault in faults if not fault.code.is_warning
            ),
        ),
        rejection=None,
        faults=tuple(faults),
    )


def _check_attributes(
    line: dict[str, Any], rules: ManifestRules, faults: list[Fault]
) -> tuple[list[tuple[str, Attribute]], tuple[int, int] | None]:
    """The attributes of a line by name, and the size of the image if one of them tells."""
    attributes = [
        (name, check_attribute(name, line[name], metadata, rules, faults)) for name, metadata in _attributes_of(line)
    ]
    size = next((attribute.size for _, attribute in attributes if attribute.size is not None), None)
    if size is not None:
        _check_size(size, rules, faults)
    return attributes, size


def _rejected(text: str, code: Code, message: str, place: Place, path: str = "") -> CheckedLine:
    rejection = Rejection(place, code.name, message, path)
    return CheckedLine(text, Outcome.INVALID, Use.NOTHING, None, rejection, (Fault(code, (), message),))


def _source(line: dict[str, Any], rules: ManifestRules) -> str:
    source = source_of(line.get(_SOURCE), rules.limits)
    if source.startswith(_S3):
        bucket, _, key = source[len(_S3) :].partition("/")
        is_right = bool(bucket and key)
    else:
        is_right = rules.relative_sources and "://" not in source and not source.startswith("/")
    if not is_right:
        raise FieldError(codes.INVALID_SOURCE_REF_FORMAT.name, "source-ref must be of the form s3://bucket/key")
    return source


def _attributes_of(line: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """The names of the label attributes, with their metadata."""
    for name in line:
        if name not in _NOT_ATTRIBUTES and (metadata := line.get(name + _METADATA, line)) is not line:
            yield name, metadata


def _check_size(size: tuple[int, int], rules: ManifestRules, faults: list[Fault]) -> None:
    is_too_small = rules.min_side is not None and min(size) < rules.min_side
    is_too_large = rules.max_side is not None and max(size) > rules.max_side
    if is_too_small or is_too_large:
        message = f"The image has {size[0]} × {size[1]} pixels; sides must be {_range(rules.min_side, rules.max_side)}."
        faults.append(Fault(codes.INVALID_IMAGE_DIMENSION, (), message))


def _range(least: int | None, most: int | None) -> str:
    return f"{least or 1} or more" if most is None else f"{least or 1} to {most}"


def _within_limits(
    attributes: list[tuple[str, Attribute]], limits: ReadLimits, faults: list[Fault]
) -> tuple[NewAnnotation, ...]:
    """The annotations of all attributes; of those with which the image would have too many, none."""
    annotations: list[NewAnnotation] = []
    labels: set[str] = set()
    box_count = 0
    for name, attribute in attributes:
        of_attribute: list[NewAnnotation] = []
        for annotation in attribute.annotations:
            if annotation.box is not None:
                box_count += 1
            elif annotation.label in labels:
                continue
            else:
                labels.add(annotation.label)
            of_attribute.append(annotation)
        if box_count <= limits.boxes_per_image:
            annotations += of_attribute
        elif attribute.annotations:
            message = f"The image has more than {limits.boxes_per_image} bounding boxes."
            faults.append(Fault(codes.TOO_MANY_BOUNDING_BOXES, (name,), message))
            box_count -= len(of_attribute)
    if len(labels) > limits.labels_per_image:
        message = f"The image has more than {limits.labels_per_image} labels."
        faults.append(Fault(codes.TOO_MANY_LABELS, (), message))
        annotations = [annotation for annotation in annotations if annotation.box is not None]
    return tuple(annotations)


def _check_whole(
    line: dict[str, Any],
    attributes: list[tuple[str, Attribute]],
    annotations: tuple[NewAnnotation, ...],
    faults: list[Fault],
) -> None:
    """Adds what can be said of the line once its attributes are known."""
    del faults[_MOST_FAULTS:]
    if not attributes:
        has_others = any(name not in _NOT_ATTRIBUTES for name in line)
        faults.append(_whole(codes.NO_LABEL_ATTRIBUTES if has_others else codes.UNANNOTATED_RECORD))
        return
    sound = [(name, attribute) for name, attribute in attributes if attribute.is_valid]
    if not sound:
        faults.append(_whole(codes.NO_VALID_LABEL_ATTRIBUTES))
        return
    empty = [name for name, attribute in sound if not attribute.annotations]
    if not empty:
        return
    without_entries = [name for name, attribute in sound if not attribute.entries]
    for name in without_entries:
        faults.append(Fault(codes.NO_ATTRIBUTE_ANNOTATIONS, (name,), codes.NO_ATTRIBUTE_ANNOTATIONS.message))
    if without_entries != empty:
        faults.append(_whole(codes.NO_VALID_ANNOTATIONS))
    elif not annotations:
        faults.append(_whole(codes.NO_ANNOTATIONS))


def _whole(code: Code) -> Fault:
    return Fault(code, (), code.message)


def _outcome(annotations: tuple[NewAnnotation, ...], faults: list[Fault]) -> Outcome:
    if faults and any(fault.code.cost is Cost.LINE for fault in faults):
        return Outcome.INVALID
    return Outcome.VALID if annotations else Outcome.IGNORED


def _use(annotations: tuple[NewAnnotation, ...]) -> Use:
    kinds = {annotation.box is None for annotation in annotations}
    return _USES[True in kinds, False in kinds]


def _object_of(text: str) -> dict[str, Any] | None:
    """The line once more: a copy that may be written into, made only when it is asked for."""
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _strip_marks(line: dict[str, Any]) -> None:
    """Removes what earlier checks have written: from the line, its attributes with their metadata, and their boxes."""
    for mark in _MARKS:
        line.pop(mark, None)
    for value in line.values():
        if not isinstance(value, dict):
            continue
        entries = value.get("annotations")
        for part in (value, *(entries if isinstance(entries, list) else ())):
            if isinstance(part, dict):
                for mark in _MARKS:
                    part.pop(mark, None)


def _container(line: dict[str, Any], fault: Fault) -> dict[str, Any]:
    """Where a fault is written: what it is about, or the next thing around or beside that which can hold it."""
    found: Any = line
    for part in fault.place:
        found = found[part]
    if isinstance(found, dict):
        return found
    beside = line.get(f"{fault.place[0]}{_METADATA}")
    return beside if isinstance(beside, dict) else line


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos + 1}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
