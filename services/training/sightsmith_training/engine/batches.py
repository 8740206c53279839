"""Running a model over many images, a few at a time, on several cores."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.samples import Pixels

Outputs = npt.NDArray[np.float32]
"""Shape [images, numbers]."""

Scorer = Callable[[Pixels], Outputs]

# On a CPU small batches are faster per image: their activations stay in the cache.
_BATCH = 4
_PIXELS_AT_ONCE = _BATCH * 416**2


def images_at_once(side: int) -> int:
    """How many images of this side, in pixels, to run together: at least one."""
    return max(1, min(_BATCH, round(_PIXELS_AT_ONCE / side**2)))


def run_in_batches(
    scorer: Scorer,
    pixels: Pixels,
    threads: int,
    advance: Callable[[float], None] = lambda share: None,
    first: Sequence[int] = (),
) -> Outputs:
    """Runs a model over images.

    Batches run beside each other, each on one core. The usual way, one batch on all cores, waits for the slowest core
    at every layer, which on a busy machine made it twenty times slower. It also makes the result independent of the
    number of threads.

    Args:
        scorer: maps pixels of one batch to their outputs; called from several threads.
        pixels: shape [images, side, side, 3].
        threads: how many batches run at once.
        advance: called with the share of the images that are done.
        first: sizes of the first batches, where they matter.

    Returns:
        The outputs in the order of the images.
    """
    spans = list(_spans(len(pixels), first))
    outputs = []
    with ThreadPoolExecutor(threads) as pool:
        batches = pool.map(lambda span: scorer(np.ascontiguousarray(pixels[span])), spans)
        for span, batch in zip(spans, batches, strict=True):
            outputs.append(batch)
            advance(span.stop / len(pixels))
    return np.concatenate(outputs)


def _spans(images: int, first: Sequence[int]) -> Iterator[slice]:
    sizes, start = iter(first), 0
    while start < images:
        stop = min(images, start + next(sizes, _BATCH))
        yield slice(start, stop)
        start = stop
