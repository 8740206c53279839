"""Making the next thing ready while the last one is worked on."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

Thing = TypeVar("Thing")


async def ahead(things: AsyncIterator[Thing]) -> AsyncGenerator[Thing, None]:
    """The same things; each is begun as soon as the one before is handed out. To be closed when it is not read out."""
    end = object()
    upcoming = asyncio.ensure_future(anext(things, end))
    try:
        while (thing := await upcoming) is not end:
            upcoming = asyncio.ensure_future(anext(things, end))
            yield thing  # type: ignore[misc]  # mypy does not see that it is not the end
    finally:
        upcoming.cancel()
        await asyncio.wait([upcoming])
