"""Checks of the values that every format has: labels, names of images, sizes, boxes."""

import math
import unicodedata

from sightsmith_labeling.annotation_rules import label_problem
from sightsmith_labeling.annotations import Box
from sightsmith_labeling.formats.records import ReadLimits

# Control characters and lone halves of surrogate pairs.
_FORBIDDEN_IN_SOURCES = frozenset({"Cc", "Cs"})

# Other tools round: a box may pass the edge of its image by this much, and is cut there. Beyond it the box is wrong.
_ROUNDING_PIXELS = 1.0
_ROUNDING_SHARE = 0.001

# Decimals of a pixel that are kept of a box that was given as shares of its image, so that the division and the
# multiplication leave no trace: what was a whole pixel is one again.
_DECIMALS = 6

_MAX_NUMBER_CHARACTERS = 400
_SHOWN_CHARACTERS = 60
_KINDS = {int: "number", list: "list", dict: "object"}


class FieldError(ValueError):
    """A value that cannot be taken.

    Attributes:
        code: stable, as in `ERROR_INVALID_BOUNDING_BOX`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def label_of(value: object, limits: ReadLimits) -> str:
    """A label's name, as it is.

    Raises:
        FieldError: if it is no text, empty, too long or has control characters.
    """
    if not isinstance(value, str):
        raise FieldError("ERROR_INVALID_LABEL_NAME", f"the label must be text, not {shown(value)}")
    if (problem := label_problem(value, limits.label_characters)) is not None:
        is_long = len(value) > limits.label_characters and bool(value.strip())
        code = "ERROR_INVALID_LABEL_NAME_LENGTH" if is_long else "ERROR_INVALID_LABEL_NAME"
        raise FieldError(code, f"the label {shown(value)} {problem}")
    return value


def source_of(value: object, limits: ReadLimits) -> str:
    """The name that an import has for an image, as it is.

    Raises:
        FieldError: if it is missing, no text, too long, or cannot be stored as text.
    """
    if value is None or value == "":
        raise FieldError("ERROR_MISSING_SOURCE_REF", "the name of the image is missing")
    if not isinstance(value, str):
        raise FieldError("ERROR_INVALID_SOURCE_REF_FORMAT", f"the image's name must be text, not {shown(value)}")
    if len(value) > limits.source_characters:
        raise FieldError(
            "ERROR_INVALID_SOURCE_REF_FORMAT",
            f"the image's name {shown(value)} has {len(value)} characters; "
            f"at most {limits.source_characters} are allowed",
        )
    if not value.isprintable() and any(unicodedata.category(each) in _FORBIDDEN_IN_SOURCES for each in value):
        raise FieldError("ERROR_INVALID_SOURCE_REF_FORMAT", f"the image's name {shown(value)} has control characters")
    return value


def number_of(value: object, what: str) -> float:
    """A finite number from a number or its text.

    Raises:
        FieldError: with the code ERROR_INVALID_BOUNDING_BOX, if it is none.
    """
    # Text of a sane length only: Python's own conversion takes long for a million digits.
    if type(value) in (int, float) or (isinstance(value, str) and len(value) <= _MAX_NUMBER_CHARACTERS):
        try:
            number = float(value)  # type: ignore[arg-type]  # The condition above leaves only what it takes.
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise FieldError("ERROR_INVALID_BOUNDING_BOX", f"{what} must be a number, not {shown(value)}")


def size_of(width: object, height: object) -> tuple[int, int] | None:
    """The size of an image in pixels; None if the import does not say, for which some tools write 0.

    Raises:
        FieldError: if it is not two whole numbers above 0.
    """
    if all(side in (None, "", 0, "0") for side in (width, height)):
        return None
    return _side(width, "width"), _side(height, "height")


def box_of(left: float, top: float, width: float, height: float, size: tuple[float, float] | None) -> Box:
    """A box, cut at the edges of its image where it passes them by no more than tools round.

    Args:
        left: in pixels, or as a share of the width.
        top: likewise of the height.
        width: likewise.
        height: likewise.
        size: width and height of the image in pixels, (1, 1) for shares; None if they are not known.

    Raises:
        FieldError: with the code ERROR_INVALID_BOUNDING_BOX, if it is empty or outside the image.
    """
    frame = size or (math.inf, math.inf)
    tolerance = _ROUNDING_SHARE if frame == (1, 1) else _ROUNDING_PIXELS
    right, bottom = left + width, top + height
    problem = ""
    if not (math.isfinite(right) and math.isfinite(bottom)):
        problem = "has a value that is no number"
    elif width <= 0 or height <= 0:
        problem = "is empty: both sides must be above 0"
    elif left < -tolerance or top < -tolerance or right > frame[0] + tolerance or bottom > frame[1] + tolerance:
        problem = "is outside the image" + (f", which is {frame[0]:g} × {frame[1]:g}" if size else "")
    else:
        left, width = _cut(left, width, frame[0])
        top, height = _cut(top, height, frame[1])
        if width > 0 and height > 0:
            return Box(left, top, width, height)
        problem = "is outside the image"
    raise FieldError(
        "ERROR_INVALID_BOUNDING_BOX",
        f"the box with left {left:g}, top {top:g}, width {width:g}, height {height:g} {problem}",
    )


def in_pixels(box: Box, width: int, height: int) -> Box:
    """A box in pixels from one in shares of its image, with at most six decimals.

    Raises:
        FieldError: with the code ERROR_INVALID_BOUNDING_BOX, if nothing is left of it.
    """
    left, right = round(box.left * width, _DECIMALS), round((box.left + box.width) * width, _DECIMALS)
    top, bottom = round(box.top * height, _DECIMALS), round((box.top + box.height) * height, _DECIMALS)
    return box_of(
        left, top, round(right - left, _DECIMALS), round(bottom - top, _DECIMALS), (float(width), float(height))
    )


def shown(value: object) -> str:
    """A value as a message shows it: short, on one line, and in characters that can be stored."""
    if not isinstance(value, str):
        return _described(value)
    text = value if len(value) <= _SHOWN_CHARACTERS else f"{value[:_SHOWN_CHARACTERS]}…"
    return repr(text) if text.isprintable() else ascii(text)


def _side(value: object, what: str) -> int:
    try:
        side = number_of(value, what)
    except FieldError:
        side = math.nan
    if not (side >= 1 and side.is_integer() and side < 2**31):
        raise FieldError(
            "ERROR_INVALID_IMAGE_DIMENSION", f"the image's {what} must be a whole number of pixels, not {shown(value)}"
        )
    return int(side)


def _cut(start: float, length: float, frame: float) -> tuple[float, float]:
    """The part of a stretch that is inside its frame; unchanged where all of it is."""
    if start >= 0 and start + length <= frame:
        return start, length
    inside = max(start, 0.0)
    return inside, min(start + length, frame) - inside


def _described(value: object) -> str:
    """A value that is no text; of one that may be huge only its kind."""
    if isinstance(value, bool | float | None):
        return repr(value)
    return f"a value of the kind {_KINDS.get(type(value), type(value).__name__)}"
