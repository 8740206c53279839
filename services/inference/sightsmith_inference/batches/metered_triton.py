"""Triton with a clock: what the predictions of a job cost."""

import time

from sightsmith_inference.tensors import Outputs, Pixels
from sightsmith_inference.triton import LoadedModel, ModelRunner


class MeteredTriton:
    """Triton, as one worker asks it.

    Attributes:
        seconds: how long it was asked, in all.
    """

    def __init__(self, triton: ModelRunner) -> None:
        self._triton = triton
        self.seconds = 0.0

    async def infer(self, model: LoadedModel, pixels: Pixels, timeout_seconds: float) -> Outputs:
        """Runs a model, see `Triton.infer`, and counts the time."""
        begin = time.monotonic()
        try:
            return await self._triton.infer(model, pixels, timeout_seconds)
        finally:
            self.seconds += time.monotonic() - begin
