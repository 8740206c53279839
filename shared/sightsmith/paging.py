"""Pages of long lists by keyset (AIP-158): a token holds the last key that was seen, so that no page is slow."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sightsmith.errors import InvalidArgumentError

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000
# As many digits as surely fit into a PostgreSQL bigint.
_NUMBER = re.compile(r"[0-9]{1,18}")

Item = TypeVar("Item")


@dataclass(frozen=True)
class PageRequest:
    """Which page is wanted.

    Attributes:
        size: items on the page, 1 to `MAX_PAGE_SIZE`.
        after: key of the last item of the page before; None for the first page.
    """

    size: int
    after: str | None

    @property
    def after_number(self) -> int:
        """The key as a number, for lists that are ordered by one.

        Raises:
            InvalidArgumentError: if the key is no number: the token is of another list.
        """
        if self.after is None or _NUMBER.fullmatch(self.after) is None:
            raise _foreign_token()
        return int(self.after)

    @classmethod
    def parse(cls, page_size: int, page_token: str) -> "PageRequest":
        """Reads the two fields that every List request has.

        Raises:
            InvalidArgumentError: if the size is negative or the token is not one of ours.
        """
        if page_size < 0:
            raise InvalidArgumentError.of_field("page_size", f"must not be negative, not {page_size}")
        return cls(min(page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE), _key_of(page_token) if page_token else None)


def page_of(rows: Sequence[Item], request: PageRequest, key: Callable[[Item], object]) -> tuple[Sequence[Item], str]:
    """Cuts a page out of `request.size + 1` fetched rows: the row too many tells that there is a next page.

    Returns:
        The items of the page, and the token of the next one (empty on the last).
    """
    items = rows[: request.size]
    return items, _token_of(str(key(items[-1]))) if len(rows) > request.size else ""


def _token_of(key: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([key]).encode()).decode()


def _key_of(token: str) -> str:
    try:
        (key,) = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, TypeError, binascii.Error):
        key = None
    # PostgreSQL refuses a NUL, and UTF-8 a lone surrogate; no key of ours has either.
    if not (isinstance(key, str) and key.isprintable()):
        raise _foreign_token()
    return key


def _foreign_token() -> InvalidArgumentError:
    return InvalidArgumentError.of_field("page_token", "is not a token that this List call returned")
