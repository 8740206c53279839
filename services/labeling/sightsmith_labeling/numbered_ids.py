"""Ids that are the keys of rows."""

import re

# As many digits as surely fit into a PostgreSQL bigint; no second way of writing a number.
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")


def number_of_id(text: str) -> int | None:
    """The key that an id stands for; None if it stands for none."""
    return int(text) if _NUMBER.fullmatch(text) else None
