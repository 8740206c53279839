"""What a search found out and decided, in files, so that a search that goes on later neither works nor decides anew."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from threading import Lock

from sightsmith_training.engine.distribution.checkpoints import State, read_state, write_state

_DECISIONS = "decisions"


class Kept:
    """Results by name, each in a file of its own, and decisions by what was asked, in one file.

    What is damaged is as good as not there.
    """

    def __init__(
        self,
        folder: Path,
        save: Callable[[Path], None] = lambda file: None,
        restore: Callable[[Path], None] = lambda file: None,
    ) -> None:
        """Takes where the files lie while the search runs, and how they outlive it.

        Args:
            folder: of this run of the search.
            save: called with each file after it was written, to keep it elsewhere too.
            restore: called with each file before it is looked for, to bring it back from there.
        """
        self.folder = folder
        self.save = save
        self.restore = restore
        self._lock = Lock()

    def read_or_do(self, name: str, do: Callable[[], State]) -> State:
        """A result that is there, or the result of doing the work now."""
        found = self._read(name)
        if found is None:
            found = do()
            self._write(name, found)
        return found

    def decide(self, question: str, answer: Callable[[], bool]) -> bool:
        """The answer that was given when this was first asked, be it by a search that broke off."""
        with self._lock:
            if question not in self._decisions:
                self._decisions[question] = answer()
                self._write(_DECISIONS, self._decisions)
            return bool(self._decisions[question])

    @cached_property
    def _decisions(self) -> State:
        return self._read(_DECISIONS) or {}

    def _read(self, name: str) -> State | None:
        file = self._file(name)
        self.restore(file)
        return read_state(file)

    def _write(self, name: str, state: State) -> None:
        file = self._file(name)
        write_state(file, state)
        self.save(file)

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.pt"
