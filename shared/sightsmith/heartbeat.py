"""Keeping a lease on a job while it is worked on."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, NoReturn, TypeVar

from sightsmith.errors import UnavailableError

Result = TypeVar("Result")
ProgressT = TypeVar("ProgressT")


class LeaseLostError(Exception):
    """The job belongs to somebody else now, has ended or is gone: stop working on it."""


class JobCancelledError(Exception):
    """The job was asked to stop."""


class Heartbeat(Generic[ProgressT]):
    """Renews a lease while work is done, and ends the work when it is to be cancelled or the lease is lost."""

    def __init__(
        self,
        renew: Callable[[ProgressT | None], Awaitable[None]],
        progress: Callable[[], ProgressT | None],
        interval_seconds: float,
        lease_seconds: float,
    ) -> None:
        """Prepares it.

        Args:
            renew: renews the lease and, unless it is given None, tells how far the job is. Raises `JobCancelledError`,
                `LeaseLostError`, or `UnavailableError`, which is borne for as long as the lease lasts.
            progress: how far the job is now; None while that is not known.
            interval_seconds: between two beats.
            lease_seconds: how long a lease lasts that is not renewed.
        """
        self._renew = renew
        self._progress = progress
        self._interval = interval_seconds
        self._patience = lease_seconds
        self._told: ProgressT | None = None

    async def beside(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Runs work with a beating heart beside it.

        Raises:
            JobCancelledError: if the job is to be cancelled.
            LeaseLostError: if it is not ours any more.
        """
        working, beating = asyncio.ensure_future(work), asyncio.ensure_future(self._beat())
        try:
            await asyncio.wait([working, beating], return_when=asyncio.FIRST_COMPLETED)
            return await (working if working.done() else beating)
        finally:
            for task in (working, beating):
                task.cancel()
            await asyncio.gather(working, beating, return_exceptions=True)

    async def _beat(self) -> NoReturn:
        last_success = time.monotonic()
        while True:
            began = time.monotonic()
            try:
                # An answer that does not come is no better than a bad one: a network may swallow what it is given.
                async with asyncio.timeout(max(last_success + self._patience - began, self._interval)):
                    await self._tell()
                last_success = began
            except (UnavailableError, TimeoutError) as error:
                if time.monotonic() - last_success > self._patience:
                    raise LeaseLostError("it could not be renewed in time") from error
            await asyncio.sleep(self._interval)

    async def _tell(self) -> None:
        now = self._progress()
        news = now if now != self._told else None
        await self._renew(news)
        self._told = news or self._told
