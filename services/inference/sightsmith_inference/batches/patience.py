"""Waiting for what is away: the inference server, the object store, a model that is being loaded."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from google.rpc import code_pb2

from sightsmith.errors import SightsmithError
from sightsmith.logs import get_logger

Result = TypeVar("Result")

_PASSING = frozenset({code_pb2.UNAVAILABLE, code_pb2.DEADLINE_EXCEEDED, code_pb2.RESOURCE_EXHAUSTED})
_FIRST_SECONDS = 0.2
_LONGEST_SECONDS = 5.0
_log = get_logger(__name__)


def will_pass(error: SightsmithError) -> bool:
    """Whether an error says that something is away or busy, and nothing is wrong with what was asked."""
    return error.code in _PASSING and error.reason not in ("TOO_LARGE", "QUOTA_EXCEEDED")


async def patiently(
    work: Callable[[], Awaitable[Result]],
    max_seconds: float,
    look: Callable[[SightsmithError], Awaitable[bool]] | None = None,
) -> Result:
    """Tries work again, later and later, until it succeeds.

    Args:
        work: begins it anew each time.
        max_seconds: after which the last error counts.
        look: told of each error; says whether there is hope. Without it, errors that will pass give hope.

    Raises:
        SightsmithError: the last error of the work.
    """
    begin, pause = time.monotonic(), _FIRST_SECONDS
    while True:
        try:
            return await work()
        except SightsmithError as error:
            has_hope = await look(error) if look is not None else will_pass(error)
            if not has_hope or time.monotonic() - begin > max_seconds:
                raise
            _log.warning("batch predictions wait", error=error.message, seconds=pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_SECONDS)
