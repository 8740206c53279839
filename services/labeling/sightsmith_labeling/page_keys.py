"""The keys inside page tokens. A token comes back from a client, so its key may be anything."""

from sightsmith.errors import InvalidArgumentError
from sightsmith.names import check_id
from sightsmith.paging import PageRequest

# Anything longer may not fit a PostgreSQL bigint.
_MAX_DIGITS = 18


def id_after(page: PageRequest) -> str | None:
    """The id after which the page begins; None for the first page.

    Raises:
        InvalidArgumentError: naming `page_token`, if the token's key is no id.
    """
    return None if page.after is None else check_id("page_token", page.after)


def number_after(page: PageRequest) -> int | None:
    """The number after which the page begins; None for the first page.

    Raises:
        InvalidArgumentError: naming `page_token`, if the token's key is no number.
    """
    return None if page.after is None else positive_number("page_token", page.after)


def positive_number(field: str, text: str) -> int:
    """Reads a number that a list is ordered by.

    Raises:
        InvalidArgumentError: naming `field`, if it is no number of at most 18 digits.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise InvalidArgumentError.of_field(field, "is not a token that this list returned")
    return int(text)
