"""Which GPUs there are, and in which precision networks learn on them."""

from dataclasses import dataclass

import torch

from sightsmith_training.engine.specification import DeviceWish as DeviceWish

_FIRST_WITH_BFLOAT16 = (8, 0)
_FIRST_WITH_FAST_FLOAT16 = (7, 0)


@dataclass(frozen=True)
class Devices:
    """What networks can be trained on.

    Attributes:
        gpus: how many there are; without any, the processor does the work.
        precision: in which layers are computed where that is safe, the others staying in float32 (Micikevicius et al.,
            "Mixed Precision Training", 2018). None: everything in float32.
    """

    gpus: int
    precision: torch.dtype | None


def find_devices(wish: DeviceWish = "auto") -> Devices:
    """Finds the GPUs of this machine, as far as `CUDA_VISIBLE_DEVICES` lets this process see them."""
    gpus = torch.cuda.device_count() if wish == "auto" else 0
    return Devices(gpus, precision_for([torch.cuda.get_device_capability(gpu) for gpu in range(gpus)]))


def precision_for(capabilities: list[tuple[int, int]]) -> torch.dtype | None:
    """The precision that all GPUs are fast in, by their CUDA compute capabilities.

    bfloat16 (from 8.0, "Ampere") has the range of float32. float16 (from 7.0, "Volta") has not, so that losses must be
    scaled for it. Older GPUs, and processors, gain nothing from either.
    """
    weakest = min(capabilities, default=(0, 0))
    if weakest >= _FIRST_WITH_BFLOAT16:
        return torch.bfloat16
    return torch.float16 if weakest >= _FIRST_WITH_FAST_FLOAT16 else None
