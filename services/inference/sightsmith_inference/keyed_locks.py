"""One lock per key, kept only as long as somebody uses it."""

import asyncio
from weakref import WeakValueDictionary


class KeyedLocks:
    """Locks by key, within this process."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, key: str) -> asyncio.Lock:
        """The lock of a key: the same one for everybody who holds it or waits for it."""
        return self._locks.setdefault(key, asyncio.Lock())
