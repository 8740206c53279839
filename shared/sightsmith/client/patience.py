"""Waiting for a service that is away for a moment, as while it is started again."""

import time
from collections.abc import Callable
from typing import TypeVar

from google.rpc import code_pb2

from sightsmith.errors import SightsmithError

Result = TypeVar("Result")
OnWait = Callable[[SightsmithError], None]

PATIENCE_SECONDS = 60.0
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 3.0
# What gRPC says of a connection that broke, or that the other side closed.
_AWAY = frozenset({code_pb2.UNAVAILABLE, code_pb2.CANCELLED})
# In these a deployment answers nobody until somebody does something about it.
_SETTLED = frozenset({"STOPPING", "STOPPED", "FAILED"})


class Patience:
    """Bears with a service that is away, but not for longer than so many seconds without an answer."""

    def __init__(self, seconds: float = PATIENCE_SECONDS, on_wait: OnWait | None = None) -> None:
        """Begins with all patience.

        Args:
            seconds: how long it lasts after the last answer; 0 to wait for nothing.
            on_wait: told of the error that is waited for, once each time that waiting begins.
        """
        self._seconds = seconds
        self._on_wait = on_wait
        self._waiting_since: float | None = None
        self._pause = _FIRST_PAUSE_SECONDS

    def answered(self) -> None:
        """Takes note that the service is there."""
        self._waiting_since = None

    def wait_after(self, error: SightsmithError) -> None:
        """Waits a moment before the next try, longer each time.

        Raises:
            SightsmithError: the error, if waiting does not help or patience is at its end.
        """
        if not _may_pass(error):
            raise error
        now = time.monotonic()
        if self._waiting_since is None:
            self._waiting_since, self._pause = now, _FIRST_PAUSE_SECONDS
            if self._seconds > 0 and self._on_wait is not None:
                self._on_wait(error)
        if now - self._waiting_since >= self._seconds:
            error.message += f" (waited {self._seconds:g} s)" if self._seconds else ""
            raise error
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)

    def until_answered(self, ask: Callable[[], Result]) -> Result:
        """Asks until there is an answer.

        Raises:
            SightsmithError: as `wait_after` does.
        """
        while True:
            try:
                result = ask()
            except SightsmithError as error:
                self.wait_after(error)
            else:
                self.answered()
                return result


def _may_pass(error: SightsmithError) -> bool:
    return error.code in _AWAY and error.metadata.get("state") not in _SETTLED
