"""Triton with a clock: what the predictions of a job cost."""

import time

from sightsmith_inference.tensors import Outputs, Pixels
from sightsmith_inference.triton import LoadedModel, Triton


class MeteredTriton(Triton):
    """A connection of its own to a Triton server.

    Attributes:
        seconds: how long it was asked, in all.
    """

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.seconds = 0.0

    async def infer(self, model: LoadedModel, pixels: Pixels, timeout_seconds: float) -> Outputs:
        """Runs a model, see `Triton.infer`, and counts the time."""
        begin = time.monotonic()
        try:
            return await super().infer(model, pixels, timeout_seconds)
        finally:
            self.seconds += time.monotonic() - begin
