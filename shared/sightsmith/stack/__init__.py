"""The embedded stack: one call starts PostgreSQL, NATS, Triton and Sightsmith's own processes on this machine.

with Stack(StackSettings(free_ports=True)) as stack:
    print(stack.endpoints.labeling)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sightsmith.stack.endpoints import Endpoints, find_running_stack
from sightsmith.stack.errors import StackError

if TYPE_CHECKING:
    from sightsmith.stack.services import SERVICES, Service
    from sightsmith.stack.settings import StackSettings
    from sightsmith.stack.stack import PARTS, Stack

_LATER = {
    "PARTS": "stack",
    "SERVICES": "services",
    "Service": "services",
    "Stack": "stack",
    "StackSettings": "settings",
}
__all__ = ["PARTS", "SERVICES", "Endpoints", "Service", "Stack", "StackError", "StackSettings", "find_running_stack"]


def __getattr__(name: str) -> Any:
    """Imports what starts servers only when it is asked for: a client just looks where a stack runs."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"sightsmith.stack.{_LATER[name]}"), name)
