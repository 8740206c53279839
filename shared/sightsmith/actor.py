"""On whose behalf the present task works, for audit trails.

Every caller shows the same token, so the name is what the caller says of itself in the metadata `x-sightsmith-actor`
(percent-encoded UTF-8, because gRPC's metadata is ASCII): good for people who share the work, no proof against a lie.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

ACTOR_HEADER = "x-sightsmith-actor"
MAX_ACTOR_LENGTH = 128

_actor: ContextVar[str] = ContextVar("sightsmith_actor", default="")


def current_actor() -> str:
    """Name of the person or program that the present task works for; empty if it did not say."""
    return _actor.get()


@contextmanager
def acting_as(name: str) -> Iterator[None]:
    """Makes the block work on somebody's behalf. Characters that are not printable are left out."""
    printable = "".join(character for character in name if character.isprintable())
    token = _actor.set(printable[:MAX_ACTOR_LENGTH])
    try:
        yield
    finally:
        _actor.reset(token)
