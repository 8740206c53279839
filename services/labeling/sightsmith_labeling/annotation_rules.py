"""What an annotation must be to be taken."""

import math
import unicodedata
from collections.abc import Iterator

from sightsmith.actor import MAX_ACTOR_LENGTH
from sightsmith.errors import FieldViolation, InvalidArgumentError
from sightsmith_labeling.annotations import Box, NewAnnotation

# Control characters, lone halves of surrogate pairs, and what Unicode has for the ends of lines and paragraphs: a label
# is one line of text that can be stored.
_FORBIDDEN_IN_LABELS = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Pixels. Formats that give boxes as ratios come back with sides that are off by a rounding.
_ROUNDING = 1e-3
_LARGEST_SIDE = 1e6


def annotation_violations(
    annotation: NewAnnotation, width: int | None, height: int | None, max_label_length: int
) -> Iterator[FieldViolation]:
    """Everything that is wrong with an annotation, each thing under its field: `label`, `box.width`.

    Args:
        annotation: as a client or a file gives it.
        width: of the upright image in pixels; None if it is not known.
        height: of the upright image in pixels; None if it is not known.
        max_label_length: characters.
    """
    if (problem := label_problem(annotation.label, max_label_length)) is not None:
        yield FieldViolation("label", problem)
    if annotation.box is not None:
        yield from _box_violations(annotation.box, width, height)
    if annotation.confidence is not None and not 0 <= annotation.confidence <= 1:
        yield FieldViolation("confidence", f"must be from 0 to 1, not {annotation.confidence}")
    if len(annotation.author) > MAX_ACTOR_LENGTH or not annotation.author.isprintable():
        yield FieldViolation("author", f"must be at most {MAX_ACTOR_LENGTH} printable characters")


def check_label(field: str, label: str, max_length: int) -> str:
    """Returns a label's name, if it is one.

    Raises:
        InvalidArgumentError: naming `field`, if it is not.
    """
    if (problem := label_problem(label, max_length)) is not None:
        raise InvalidArgumentError.of_field(field, problem)
    return label


def label_problem(label: str, max_length: int) -> str | None:
    """What is wrong with a label's name; None if nothing is."""
    if not label.strip():
        return "must not be empty"
    if len(label) > max_length:
        return f"must have at most {max_length} characters, not {len(label)}"
    # Nearly every label is printable, which is quick to see.
    if not label.isprintable() and any(unicodedata.category(each) in _FORBIDDEN_IN_LABELS for each in label):
        return "must have no control characters or line ends"
    return None


def _box_violations(box: Box, width: int | None, height: int | None) -> Iterator[FieldViolation]:
    yield from _side_violations(("left", box.left), ("width", box.width), width)
    yield from _side_violations(("top", box.top), ("height", box.height), height)


def _side_violations(
    begin: tuple[str, float], extent: tuple[str, float], limit: int | None
) -> Iterator[FieldViolation]:
    (begin_name, begin_value), (extent_name, extent_value) = begin, extent
    end = _LARGEST_SIDE if limit is None else limit
    if not (math.isfinite(begin_value) and -_ROUNDING <= begin_value < end):
        yield FieldViolation(f"box.{begin_name}", f"must be at least 0 and below {end:g} pixels, not {begin_value:g}")
    elif not (math.isfinite(extent_value) and extent_value > 0):
        yield FieldViolation(f"box.{extent_name}", f"must be above 0 pixels, not {extent_value:g}")
    elif begin_value + extent_value > end + _ROUNDING:
        past = begin_value + extent_value
        yield FieldViolation(f"box.{extent_name}", f"must end within the {end:g} pixels of the image, not at {past:g}")
