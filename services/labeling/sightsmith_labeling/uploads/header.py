"""What a client says of an image before its bytes."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sightsmith.errors import FieldViolation

# Control characters, and the two characters that Unicode has for the ends of lines and paragraphs: a label is one line.
_FORBIDDEN_IN_LABELS = ("Cc", "Zl", "Zp")


@dataclass(frozen=True)
class HeaderLimits:
    """What a header may be at most: lengths in characters."""

    max_source_length: int = 1024
    max_label_length: int = 255
    max_labels: int = 1000


@dataclass(frozen=True)
class ImageHeader:
    """Where an image comes from and what it shows."""

    source: str
    labels: tuple[str, ...]


def header_violations(header: ImageHeader, limits: HeaderLimits) -> Sequence[FieldViolation]:
    """Everything that is wrong with a header, each thing under its field: `source`, `labels`, `labels[1]`."""
    return [*_source_violations(header.source, limits), *_labels_violations(header.labels, limits)]


def _source_violations(source: str, limits: HeaderLimits) -> Iterator[FieldViolation]:
    if len(source) > limits.max_source_length:
        yield FieldViolation("source", f"must have at most {limits.max_source_length} characters, not {len(source)}")
    elif "\0" in source:
        yield FieldViolation("source", "must not have the character NUL")


def _labels_violations(labels: Sequence[str], limits: HeaderLimits) -> Iterator[FieldViolation]:
    if len(labels) > limits.max_labels:
        yield FieldViolation("labels", f"must be at most {limits.max_labels}, not {len(labels)}")
        return
    first: dict[str, int] = {}
    for index, label in enumerate(labels):
        problem = _label_problem(label, limits.max_label_length)
        if problem is None and first.setdefault(label, index) != index:
            problem = f"is the same as labels[{first[label]}]"
        if problem is not None:
            yield FieldViolation(f"labels[{index}]", problem)


def _label_problem(label: str, max_length: int) -> str | None:
    if not label.strip():
        return "must not be empty"
    if len(label) > max_length:
        return f"must have at most {max_length} characters, not {len(label)}"
    if any(unicodedata.category(character) in _FORBIDDEN_IN_LABELS for character in label):
        return f"must have no control characters or line ends: {label!r}"
    return None
