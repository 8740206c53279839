"""One program that the supervisor runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Program:
    """How to start, check and stop one process.

    Attributes:
        command: the program and its arguments. Everybody on the machine can read it: no secrets.
        is_ready: whether the process answers as it should; None where running is all that can be seen.
        environment: set on top of the supervisor's own. Kept in a file of mode 0600.
        after_ready: run once the process is ready; must bear being run again.
        stop_signal: the signal for an orderly end.
        stop_seconds: how long that may take before the process is killed.
        user: the system user it runs as; None for the one who runs the stack.
    """

    name: str
    command: tuple[str, ...]
    is_ready: Callable[[], bool] | None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    after_ready: Callable[[], None] = _nothing
    stop_signal: str = "TERM"
    stop_seconds: int = 10
    user: str | None = None
