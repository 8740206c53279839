"""When to try again what failed through no fault of its own: soon at first, then later and later."""

import time

_FIRST_SECONDS = 0.5
_LONGEST_SECONDS = 15.0


class Retries:
    """Remembers, by key, how often something failed in a row and when it is due again."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._due: dict[str, float] = {}

    def postpone(self, key: str) -> float:
        """Notes a failure; returns after how many seconds to try again, twice as many each time."""
        seconds = min(self._seconds.get(key, _FIRST_SECONDS / 2) * 2, _LONGEST_SECONDS)
        self._seconds[key] = seconds
        self._due[key] = time.monotonic() + seconds
        return seconds

    def is_due(self, key: str) -> bool:
        """Whether the time has come; so it has for what never failed."""
        return time.monotonic() >= self._due.get(key, 0.0)

    def waiting(self) -> frozenset[str]:
        """The keys whose time has not come."""
        return frozenset(key for key in self._due if not self.is_due(key))

    def forget(self, key: str) -> None:
        """Notes that all is well, or that nobody wants it any more."""
        self._seconds.pop(key, None)
        self._due.pop(key, None)
