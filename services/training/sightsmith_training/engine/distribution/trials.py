"""Where the candidates of a search are tried."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from sightsmith_training.engine.distribution.devices import DeviceWish, find_devices
from sightsmith_training.engine.distribution.groups import run_in_group

Value = TypeVar("Value")
Result = TypeVar("Result")


class Trials(Protocol):
    """Runs pieces of work that depend on nothing but their arguments, so that any of them may be done anywhere."""

    @property
    def at_once(self) -> int:
        """How many pieces run beside each other; `run` is called from so many threads."""

    @property
    def sees_files(self) -> bool:
        """Whether the work sees the files of this process."""

    def share(self, value: Value) -> Value:
        """Prepares a large value that many pieces take as an argument; what it gives stands for the value there."""

    def run(
        self,
        work: Callable[..., Result],
        *arguments: Any,
        members: int = 1,
        advance: Callable[..., None] = lambda *told: None,
    ) -> Result:
        """Has one piece of work done and waits for it.

        Args:
            work: a function of a module. It takes the arguments and, by name, an `advance` of its own.
            arguments: values, or what `share` gave for them.
            members: how many processes may train one network together, where there are processors for them. The work
                then learns its part from `find_place`; all members get the same arguments.
            advance: called with what the work calls its own with, as far as it is known.

        Returns:
            What the work returned, in the first member.

        Raises:
            TrainingError: DEPENDENCY_UNAVAILABLE if the machines that do the work are lost.
        """


class InProcessTrials:
    """Does one piece after another: in this process, or with members on all GPUs of this machine."""

    at_once = 1
    sees_files = True

    def __init__(self, device: DeviceWish = "auto") -> None:
        """Takes on what to compute."""
        self._device = device

    def share(self, value: Value) -> Value:
        return value

    def run(
        self,
        work: Callable[..., Result],
        *arguments: Any,
        members: int = 1,
        advance: Callable[..., None] = lambda *told: None,
    ) -> Result:
        possible = min(members, find_devices(self._device).gpus)
        if possible > 1:
            return run_in_group(possible, work, *arguments, advance=advance)
        return work(*arguments, advance=advance)
