"""The keys inside page tokens. A token comes back from a client, so its key may be anything."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from sightsmith.errors import InvalidArgumentError
from sightsmith.names import check_id
from sightsmith.paging import PageRequest

Value = TypeVar("Value")


def id_after(page: PageRequest) -> str | None:
    """The id after which the page begins; None for the first page.

    Raises:
        InvalidArgumentError: naming `page_token`, if the token's key is no id.
    """
    return None if page.after is None else check_id("page_token", page.after)


def text_after(page: PageRequest) -> str | None:
    """The text after which the page begins, which `text_key` wrote; None for the first page.

    Raises:
        InvalidArgumentError: naming `page_token`, if the token is of another list.
    """
    return _parsed(page, _text)


def text_key(text: str) -> str:
    """A text as a page's key, which has printable characters only."""
    return json.dumps(text)


def position_key(value: datetime | str, sequence: int) -> str:
    """The key of a page of images, which are ordered by a value and then by their arrival."""
    return json.dumps([value.isoformat() if isinstance(value, datetime) else value, sequence])


def time_position_after(page: PageRequest) -> tuple[datetime, int] | None:
    """The time and the arrival after which the page begins, which `position_key` wrote; None for the first page.

    Raises:
        InvalidArgumentError: naming `page_token`, if the token is of another list.
    """

    def parse(key: object) -> tuple[datetime, int]:
        text, sequence = _position(key)
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            raise ValueError(text)
        return time, sequence

    return _parsed(page, parse)


def text_position_after(page: PageRequest) -> tuple[str, int] | None:
    """The text and the arrival after which the page begins, which `position_key` wrote; None for the first page.

    Raises:
        InvalidArgumentError: naming `page_token`, if the token is of another list.
    """
    return _parsed(page, _position)


def _position(key: object) -> tuple[str, int]:
    match key:
        case [str(text), int(sequence)] if abs(sequence) < 2**63:
            return _text(text), sequence
    raise ValueError(key)


def _text(key: object) -> str:
    # PostgreSQL refuses a NUL, and UTF-8 a lone surrogate.
    if not isinstance(key, str) or "\0" in key:
        raise ValueError(key)
    key.encode()
    return key


def _parsed(page: PageRequest, parse: Callable[[object], Value]) -> Value | None:
    if page.after is None:
        return None
    try:
        return parse(json.loads(page.after))
    except (ValueError, RecursionError):
        raise InvalidArgumentError.of_field(
            "page_token", "is not a token that this List call returned for the same order"
        ) from None
