"""The embedded stack: one call starts PostgreSQL, NATS, Triton and Sightsmith's own processes on this machine.

with Stack(StackSettings(free_ports=True)) as stack:
    print(stack.endpoints.labeling)
"""

from sightsmith.stack.endpoints import Endpoints, find_running_stack
from sightsmith.stack.errors import StackError
from sightsmith.stack.services import SERVICES, Service
from sightsmith.stack.settings import StackSettings
from sightsmith.stack.stack import PARTS, Stack

__all__ = ["PARTS", "SERVICES", "Endpoints", "Service", "Stack", "StackError", "StackSettings", "find_running_stack"]
