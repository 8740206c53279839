"""Requests that may be sent again (AIP-155): the id by which they are known."""

import uuid

from sightsmith.errors import InvalidArgumentError


def request_id_from_proto(text: str) -> uuid.UUID | None:
    """Reads a request's `request_id`; None if it was left out.

    Raises:
        InvalidArgumentError: if it is no UUID.
    """
    if not text:
        return None
    try:
        return uuid.UUID(text)
    except ValueError:
        raise InvalidArgumentError.of_field("request_id", f"must be a UUID, not {text[:80]!r}") from None
