"""What Triton computes on."""

from enum import StrEnum


class Processor(StrEnum):
    """What Triton computes on."""

    CPU = "cpu"
    GPU = "gpu"
