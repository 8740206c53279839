"""Measures which set-up makes a model fastest in a Triton server, for a short and bounded time."""

import time
from collections.abc import Sequence

import numpy as np

from sightsmith.database import utc_now
from sightsmith.logs import get_logger
from sightsmith_inference.errors import ModelNotServableError
from sightsmith_inference.models import Processor, ServableModel
from sightsmith_inference.profiles import Profile, Trial
from sightsmith_inference.setups import Setup, configured, plain_setup
from sightsmith_inference.together import together
from sightsmith_inference.triton import Triton

# A trial is measured for so long at least, and its first answers, of which caches know nothing, do not count.
_SHORTEST_SECONDS, _WARM_SHARE = 0.2, 0.2
_MOST_GPU_INSTANCES = 4
_log = get_logger(__name__)


class Profiler:
    """Tries set-ups one after the other, with as many requests of one image under way as the model takes at once."""

    def __init__(self, processor: Processor, cores: int, seconds: float, load_seconds: float) -> None:
        """Prepares it.

        Args:
            processor: what Triton computes on.
            cores: how many the server has.
            seconds: after how long no further trial is begun.
            load_seconds: how long it may take to load a model once, or to answer.
        """
        self._processor = processor
        self._cores = cores
        self._seconds = seconds
        self._load_seconds = load_seconds

    async def measure(self, triton: Triton, model: ServableModel, text: str) -> Profile:
        """Measures a model that is loaded and answers nobody; it is left as it was tried last.

        First cores are divided otherwise among instances, then, as it was fastest, images are put together otherwise.

        Args:
            triton: the server.
            model: the model.
            text: its `config.pbtxt`.

        Raises:
            ModelNotServableError: if it can be run in no set-up.
            UnavailableError: if the server goes away.
            DeadlineExceededError: if it does not answer.
        """
        deadline = time.monotonic() + self._seconds
        splits, sizes = splits_of(self._processor, self._cores), batch_sizes_of(model.max_batch_size)
        trials = await self._try_all(triton, model, text, splits, deadline - self._seconds * _share(sizes, splits))
        if not trials:
            raise ModelNotServableError(f"{model.triton_model} could be measured in no set-up")
        best = Profile(tuple(trials), utc_now()).best.setup
        further = [Setup(best.instances, best.threads, size) for size in sizes]
        trials += await self._try_all(triton, model, text, further, deadline)
        return Profile(tuple(trials), utc_now())

    async def _try_all(
        self, triton: Triton, model: ServableModel, text: str, setups: Sequence[Setup], deadline: float
    ) -> list[Trial]:
        """The trials for which there is time, each with its share of it. One at least, if it can be loaded."""
        trials: list[Trial] = []
        for position, setup in enumerate(setups):
            if position and time.monotonic() >= deadline:
                break
            begin, left = time.monotonic(), deadline - time.monotonic()
            try:
                await triton.load(model.triton_model, self._load_seconds, configured(text, setup))
                seconds = left / (len(setups) - position) - (time.monotonic() - begin)
                trials.append(await self._try(triton, model, setup, max(seconds, _SHORTEST_SECONDS)))
            except ModelNotServableError as error:
                # Too much for the server's memory, as may be; there are others.
                _log.warning("set-up cannot be measured", triton_model=model.triton_model, error=error.message)
        return trials

    async def _try(self, triton: Triton, model: ServableModel, setup: Setup, seconds: float) -> Trial:
        pixels = np.zeros((1, model.image_side, model.image_side, 3), np.uint8)
        begin = time.monotonic()
        warm, end = begin + _WARM_SHARE * seconds, begin + seconds
        took: list[float] = []

        async def keep_asking() -> None:
            while (sent := time.monotonic()) < end:
                await triton.infer(model, pixels, self._load_seconds)
                if (answered := time.monotonic()) >= warm:
                    took.append(answered - sent)

        await together(keep_asking() for _ in range(model.max_batch_size))
        return Trial(setup, len(took) / (time.monotonic() - warm), float(np.quantile(took, 0.95)) if took else 0.0)


def splits_of(processor: Processor, cores: int) -> Sequence[Setup]:
    """Ways to use a processor, the plain one first: a CPU's cores by 1, 2, 4, … instances that share them out."""
    if processor is Processor.GPU:
        return [Setup(instances) for instances in range(1, _MOST_GPU_INSTANCES + 1)]
    several = [2**power for power in range(cores.bit_length()) if 2**power <= cores]
    return [plain_setup(processor), *(Setup(instances, cores // instances) for instances in several)]


def batch_sizes_of(largest: int) -> Sequence[int]:
    """Batches to try beside the largest: 1, 2, 4, … ."""
    return [2**power for power in range(largest.bit_length()) if 2**power < largest]


def _share(some: Sequence[object], others: Sequence[object]) -> float:
    return len(some) / (len(some) + len(others))
