"""Boxes as edges, for formats that have right and bottom where we have width and height, without any rounding."""

from decimal import Context, Decimal, DecimalException

from sightsmith_labeling.formats.fields import FieldError

# Enough for every sum of two numbers that a float can hold and an image can have.
_EXACT = Context(prec=400)


def edge_after(start: float, length: float) -> str:
    """The far edge of a stretch, as text: the exact sum, which a float may not hold."""
    return format(_EXACT.add(_decimal(start), _decimal(length)).normalize(_EXACT), "f")


def length_between(start: str, end: str) -> float:
    """The length of a stretch from the texts of its edges; what `edge_after` was given, if it made the far one.

    Raises:
        FieldError: if they are no numbers that a box can have.
    """
    try:
        return float(_EXACT.subtract(Decimal(end), Decimal(start)))
    except DecimalException as error:
        message = f"{start[:80]!r} and {end[:80]!r} are no numbers with a distance"
        raise FieldError("ERROR_INVALID_BOUNDING_BOX", message) from error


def number_text(value: float) -> str:
    """A number as text: a whole one without a fraction, any other so that the same float is read from it."""
    return format(_decimal(value).normalize(_EXACT), "f")


def _decimal(value: float) -> Decimal:
    return Decimal(repr(float(value)))
