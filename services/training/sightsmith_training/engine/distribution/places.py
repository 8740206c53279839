"""Where a process computes: alone, or as a member of a group that trains one network together."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import distributed

from sightsmith_training.engine.distribution.devices import DeviceWish, find_devices


@dataclass(frozen=True)
class Place:
    """What this process computes on, and its part in its group.

    Attributes:
        device: holds the network.
        precision: see `Devices`.
        rank: number of the process in its group, from 0.
        size: processes of the group; 1 for a process by itself.
    """

    device: torch.device
    precision: torch.dtype | None = None
    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that keeps what the group found out."""
        return self.rank == 0

    def share(self, items: int) -> slice:
        """Which of so many items are this process's; the shares of a group differ by one item at most."""
        return slice(items * self.rank // self.size, items * (self.rank + 1) // self.size)

    def gather(self, own: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Every member's rows one after another; every member must call it."""
        if self.size == 1:
            return own
        parts: list[Any] = [None] * self.size
        distributed.all_gather_object(parts, own)
        return np.concatenate(parts)

    def total(self, own: float) -> float:
        """The sum over all members, each of which must call it."""
        return float(self.gather(np.array([own])).sum())


def find_place(wish: DeviceWish = "auto") -> Place:
    """This process's place: that in its group if it has joined one, otherwise on the first GPU or the processor."""
    devices = find_devices(wish)
    if not distributed.is_initialized():
        return Place(_device(0, devices.gpus), devices.precision)
    device = _device(int(os.environ["LOCAL_RANK"]), devices.gpus)
    return Place(device, devices.precision, distributed.get_rank(), distributed.get_world_size())


def _device(number: int, gpus: int) -> torch.device:
    # Who starts a group may let each member see its own GPU alone.
    return torch.device("cuda", number % gpus) if gpus else torch.device("cpu")
