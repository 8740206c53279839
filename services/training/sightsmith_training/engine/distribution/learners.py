"""The part of a step of learning that depends on the processor: gradients of a batch, and the optimiser's step."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from sightsmith_training.engine.distribution.checkpoints import State
from sightsmith_training.engine.distribution.places import Place

Part = TypeVar("Part")
ContraPart = TypeVar("ContraPart", contravariant=True)

Make = Callable[[], Part]
"""Gives a part of a batch; called in a thread of its own."""

LossOf = Callable[[nn.Module, Part], Tensor]
"""The part's share of the batch's loss: the losses of all parts, of all members of a group, add up to it."""

Join = Callable[[Sequence[Part]], Part]


class Learner(Protocol[ContraPart]):
    """Teaches a network, batch by batch."""

    def set_gradients(self, parts: Sequence[Make[ContraPart]]) -> Tensor:
        """Puts the gradients of the whole batch into the parameters.

        Args:
            parts: this process's own parts of the batch, at least one.

        Returns:
            The loss of the own parts, a scalar.
        """

    def step(self) -> None:
        """Moves the parameters along their gradients, which may have been clipped since."""

    def clock(self) -> tuple[float, float]:
        """Seconds in the network and altogether since the last call, or since the beginning."""

    @property
    def scale(self) -> State:
        """By how much losses are scaled, for the next learner of the same training; empty where they are not."""

    def close(self) -> None:
        """Gives the threads back."""


def learner_for(
    place: Place,
    network: nn.Module,
    optimiser: Optimizer,
    loss_of: LossOf[Part],
    join: Join[Part],
    threads: int,
    scale: State | None = None,
) -> Learner[Part]:
    """The learner that suits a place.

    Args:
        place: where this process computes; the network is there already.
        network: those of its parameters learn that require gradients.
        optimiser: of these parameters.
        loss_of: gives the loss of a part, which it brings to the network's device.
        join: makes one part out of several.
        threads: cores to use.
        scale: of the learner before.
    """
    if place.device.type == "cpu" and place.size == 1 and place.precision is None:
        return ThreadedLearner(network, optimiser, loss_of, threads)
    return DeviceLearner(place, network, optimiser, loss_of, join, threads, scale)


class ThreadedLearner(Generic[Part]):
    """Lets each core of the processor work on one part of a batch.

    All cores on each layer, as is usual, would wait for the slowest every time. It expects `torch.set_num_threads(1)`.
    """

    def __init__(self, network: nn.Module, optimiser: Optimizer, loss_of: LossOf[Part], threads: int) -> None:
        """For the arguments see `learner_for`."""
        self._network, self._optimiser, self._loss_of = network, optimiser, loss_of
        self._learning: list[Tensor] = [each for each in network.parameters() if each.requires_grad]
        self._pool = ThreadPoolExecutor(threads)
        self._inside = self._whole = 0.0

    def set_gradients(self, parts: Sequence[Make[Part]]) -> Tensor:
        losses, slopes, clocks = zip(*self._pool.map(self._work, parts), strict=True)
        for parameter, each in zip(self._learning, zip(*slopes, strict=True), strict=True):
            parameter.grad = _sum(each)
        for inside, whole in clocks:
            self._inside += inside
            self._whole += whole
        return torch.stack(losses).sum()

    def step(self) -> None:
        self._optimiser.step()

    def clock(self) -> tuple[float, float]:
        told = self._inside, self._whole
        self._inside = self._whole = 0.0
        return told

    @property
    def scale(self) -> State:
        return {}

    def close(self) -> None:
        self._pool.shutdown()

    def _work(self, make: Make[Part]) -> tuple[Tensor, Sequence[Tensor], tuple[float, float]]:
        started = time.monotonic()
        part = make()
        ready = time.monotonic()
        loss = self._loss_of(self._network, part)
        # Not `backward`: its sums would go into the one place that all threads share.
        slopes = torch.autograd.grad(loss, self._learning, allow_unused=True, materialize_grads=True)
        ended = time.monotonic()
        return loss.detach(), slopes, (ended - ready, ended - started)


class DeviceLearner(Generic[Part]):
    """Runs this process's share of a batch at once, and adds up the gradients of the group by torch's own means.

    On a GPU layers are computed in lower precision where that is safe, and threads make the next batch meanwhile.
    """

    def __init__(
        self,
        place: Place,
        network: nn.Module,
        optimiser: Optimizer,
        loss_of: LossOf[Part],
        join: Join[Part],
        threads: int,
        scale: State | None = None,
    ) -> None:
        """For the arguments see `learner_for`."""
        self._place, self._optimiser, self._loss_of, self._join = place, optimiser, loss_of, join
        self._network = network if place.size == 1 else _in_group(network, place)
        # Small slopes would be lost in float16, which its narrow range makes zero; bfloat16 and float32 keep them.
        self._scaler = torch.amp.GradScaler(place.device.type, enabled=place.precision is torch.float16)
        if scale:
            self._scaler.load_state_dict(scale)
        self._pool = ThreadPoolExecutor(threads)
        self._watch = _Watch(place.device)

    def set_gradients(self, parts: Sequence[Make[Part]]) -> Tensor:
        joined = self._join(list(self._pool.map(_call, parts)))
        self._optimiser.zero_grad()
        with self._watch:
            with self._in_precision():
                loss = self._loss_of(self._network, joined)
            # The group takes the mean of its members' gradients, and we want their sum.
            torch.autograd.backward(self._scaler.scale(loss * self._place.size))
        self._scaler.unscale_(self._optimiser)
        return loss.detach()

    def step(self) -> None:
        self._scaler.step(self._optimiser)
        self._scaler.update()

    def clock(self) -> tuple[float, float]:
        return self._watch.read()

    @property
    def scale(self) -> State:
        return dict(self._scaler.state_dict())

    def close(self) -> None:
        self._pool.shutdown()

    def _in_precision(self) -> AbstractContextManager[Any]:
        precision = self._place.precision
        return nullcontext() if precision is None else torch.autocast(self._place.device.type, precision)


def _in_group(network: nn.Module, place: Place) -> nn.Module:
    on_gpu = [place.device] if place.device.type == "cuda" else None
    # Before each step there is nothing to bring in line: every member makes the same steps.
    return DistributedDataParallel(network, device_ids=on_gpu, forward_sync_buffers=False)


def _sum(slopes: Sequence[Tensor]) -> Tensor:
    """In place: to stack them would take longer than many a layer."""
    total, *others = slopes
    for other in others:
        total.add_(other)
    return total


def _call(make: Make[Part]) -> Part:
    return make()


class _Watch:
    """Measures the time in the network. A GPU is asked for it afterwards: the processor does not wait for its work."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._since = time.monotonic()
        self._entered = self._inside = 0.0
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def __enter__(self) -> None:
        if self._device.type == "cuda":
            self._events.append((_mark(), _event()))
        self._entered = time.monotonic()

    def __exit__(self, *_: object) -> None:
        if self._events:
            self._events[-1][1].record()
        else:
            self._inside += time.monotonic() - self._entered

    def read(self) -> tuple[float, float]:
        """Seconds inside and altogether, since the last reading."""
        if self._events:
            torch.cuda.synchronize(self._device)
            self._inside = sum(start.elapsed_time(end) for start, end in self._events) / 1000
        told = self._inside, time.monotonic() - self._since
        self._since, self._inside = time.monotonic(), 0.0
        self._events.clear()
        return told


def _mark() -> torch.cuda.Event:
    event = _event()
    event.record()
    return event


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
