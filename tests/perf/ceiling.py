"""The least that an answer can cost: decoding and the model in one process, without any server."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import onnxruntime

from sightsmith.images import decode_square

_BATCHES = (1, 4, 8)


class InProcess:
    """A model in this process."""

    def __init__(self, model: bytes, side: int, cores: int) -> None:
        """Opens a model.

        Args:
            model: a serialised ONNX classifier.
            side: of the squares that it takes, in pixels.
            cores: how many images or batches are worked on at once, each on one core.
        """
        # One batch a core: on a CPU that gives more images a second than one batch on all cores.
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._side = side
        self._cores = cores

    def answer(self, images: Sequence[bytes]) -> npt.NDArray[np.float32]:
        """Decodes encoded images and scores them on one core: shape [images, labels]."""
        pixels = np.stack([decode_square(image, self._side) for image in images])
        scores: npt.NDArray[np.float32] = self._session.run(None, {self._input: pixels})[0]
        return scores

    def fastest_batch(self, images: Sequence[bytes]) -> int:
        """The batch size that answers most images a second on this machine."""
        return max(_BATCHES, key=lambda batch: self.images_per_second(images, batch))

    def images_per_second(self, images: Sequence[bytes], batch: int) -> float:
        """How many encoded images are decoded and scored in a second, in batches, on all cores."""
        batches = [images[begin : begin + batch] for begin in range(0, len(images), batch)]
        with ThreadPoolExecutor(self._cores) as threads:
            begin = time.monotonic()
            for _ in threads.map(self.answer, batches):
                pass
            return len(images) / (time.monotonic() - begin)
