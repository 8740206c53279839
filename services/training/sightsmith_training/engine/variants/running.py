"""Running exported graphs, to see what they say and how long they take."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from sightsmith_training.engine.batches import images_at_once
from sightsmith_training.engine.contract import INPUT_NAME
from sightsmith_training.engine.samples import Pixels

Answers = list[npt.NDArray[Any]]
"""All outputs of a graph in their order, each of shape [images, …]."""

Runner = Callable[[Pixels], Answers]

_ROUNDS = 12


def open_model(model: bytes) -> Runner:
    """Opens a serialised graph on the CPU, one core a call."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(pixels: Pixels) -> Answers:
        answers: Answers = session.run(None, {INPUT_NAME: pixels})
        return answers

    return run


def run_all(run: Runner, pixels: Pixels, threads: int) -> Answers:
    """What a graph says of images [images, side, side, 3], at least one, some batches at once.

    The first batch is a single image, so that a graph whose batch is fixed by accident fails.
    """
    starts = [0, *range(1, len(pixels), images_at_once(pixels.shape[1]))]
    stops = [*starts[1:], len(pixels)]
    batches = [np.ascontiguousarray(pixels[start:stop]) for start, stop in zip(starts, stops, strict=True)]
    with ThreadPoolExecutor(threads) as pool:
        return [np.concatenate(output) for output in zip(*pool.map(run, batches), strict=True)]


def milliseconds_per_image(runners: Sequence[Runner], pixels: Pixels) -> list[float]:
    """The least time that each takes for a single image, on one core.

    It is the processor's time, which other work on the machine hardly changes: a graph that `open_model` opened runs on
    the thread that calls it. They take turns, so that the rest falls on all alike.
    """
    image = np.ascontiguousarray(pixels[:1])
    best = [float("inf")] * len(runners)
    for _ in range(_ROUNDS):
        for position, run in enumerate(runners):
            started = time.thread_time()
            run(image)
            best[position] = min(best[position], time.thread_time() - started)
    return [1000 * seconds for seconds in best]
