"""The last look at a model before people are sent to it."""

import numpy as np

from sightsmith_inference.errors import ModelNotServableError
from sightsmith_inference.models import ServableModel
from sightsmith_inference.triton import Triton

# Single precision sums up thousands of labels to within this of 1.
_SUM_TOLERANCE = 1e-3


async def check(triton: Triton, model: ServableModel, timeout_seconds: float) -> None:
    """Has a loaded model answer for one black image, and for two at once.

    Raises:
        ModelNotServableError: if it does not answer, or not with probabilities.
        UnavailableError: if Triton cannot be reached.
    """
    for count in {1, min(2, model.max_batch_size)}:
        pixels = np.zeros((count, model.image_side, model.image_side, 3), np.uint8)
        scores = await triton.infer(model, pixels, timeout_seconds)
        sums = scores.sum(axis=1, dtype=np.float64)
        if (scores < 0).any() or np.abs(sums - 1).max() > _SUM_TOLERANCE:
            raise ModelNotServableError(
                f"{model.triton_model} answers a batch of {count} with scores that are no probabilities: "
                f"they sum to {', '.join(f'{value:.4g}' for value in sums)}"
            )
