"""The training loop: fine-tunes a detector for a number of rounds, and can go on where it was stopped."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sightsmith_training.engine.detection.losses import DetectionLoss
from sightsmith_training.engine.detection.network import NanoDet
from sightsmith_training.engine.detection.scenes import Batch, Scenes

_LARGEST_GRADIENT = 10.0
_WARM_UP = 0.1  # Share of the steps in which the learning rate rises.
_HEAD_RATE = 2.0  # The new layer learns faster than the known ones.
_PART = 4  # Pictures that one core sees at once; small enough for its cache.
_CELL = 32  # Pixels; sides of inputs are multiples of the coarsest stride.


@dataclass(frozen=True)
class Recipe:
    """How a detector is fine-tuned.

    Attributes:
        rounds: how many times all images are seen.
        side: of the input in pixels, a multiple of 32.
        batch: pictures a step.
        rate: highest learning rate of the pretrained layers.
        decay: weight decay of AdamW.
        memory: of the averaged weights; each step they move to the present ones by 1 - memory.
        small: share of the rounds, from the first, that see smaller pictures, which are cheaper.
        small_size: how much smaller, as a share of the side.
    """

    rounds: int
    side: int = 416
    batch: int = 8
    rate: float = 1e-3
    decay: float = 0.01
    memory: float = 0.98
    small: float = 0.5
    small_size: float = 0.77


@dataclass
class Clock:
    """Where the time of the training goes, in seconds: all of it, and the part that is spent in the network."""

    total: float = 0.0
    network: float = 0.0


class Tuner:
    """Fine-tunes a network.

    Args:
        network: to be tuned; it is changed.
        scenes: what it is shown.
        recipe: how it is tuned.
        threads: cores to use.

    Attributes:
        averaged: the network with averaged weights, which is the one to use.
        rounds_done: how many rounds are finished.
        draws: how often each image is seen a round, shape [images]; may be changed between rounds.
        clock: where the time went, in this process.
    """

    def __init__(self, network: NanoDet, scenes: Scenes, recipe: Recipe, threads: int) -> None:
        self.rounds_done = 0
        self.draws = np.ones(len(scenes), dtype=np.intp)
        self.clock = Clock()
        self._scenes = scenes
        self._recipe = recipe
        self._pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
        self._network = network.to(memory_format=torch.channels_last)
        average = get_ema_multi_avg_fn(recipe.memory)  # type: ignore[no-untyped-call]
        self._averaged = AveragedModel(self._network, multi_avg_fn=average)
        self._optimiser = _optimiser(self._network, recipe)
        self._losses = {side: DetectionLoss(side, network.labels) for side in {recipe.side, _small_side(recipe)}}

    @property
    def averaged(self) -> NanoDet:
        return cast(NanoDet, self._averaged.module).eval()

    def train_rounds(self, count: int, advance: Callable[[float, dict[str, float]], None]) -> None:
        """Trains for some rounds, at most to the end of the recipe.

        Args:
            count: of rounds.
            advance: called after every round with the share of the recipe that is done and the mean `loss` of a step.
        """
        for _ in range(min(count, self._recipe.rounds - self.rounds_done)):
            loss = self._train_round()
            self.rounds_done += 1
            advance(self.rounds_done / self._recipe.rounds, {"loss": loss})

    def save(self, file: Path) -> None:
        """Writes everything needed to go on, beside its place first, so that a whole file lies there at any time."""
        beside = file.with_name(f"{file.name}.new")
        torch.save(
            {
                "network": self._network.state_dict(),
                "averaged": self._averaged.state_dict(),
                "optimiser": self._optimiser.state_dict(),
                "rounds_done": self.rounds_done,
                "draws": torch.from_numpy(self.draws),
            },
            beside,
        )
        beside.replace(file)

    def load(self, file: Path) -> None:
        """Goes on from a checkpoint of the same network, scenes and recipe."""
        state = torch.load(file, weights_only=True)
        self._network.load_state_dict(state["network"])
        self._averaged.load_state_dict(state["averaged"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.rounds_done = state["rounds_done"]
        self.draws = state["draws"].numpy()

    def _train_round(self) -> float:
        self._network.train()
        side = self._side()
        started = time.perf_counter()
        losses = [
            self._step(batch, self._losses[side], self._progress(share)) for share, batch in _ahead(self._batches(side))
        ]
        self.clock.total += time.perf_counter() - started
        return float(np.mean(losses))

    def _step(self, batch: Batch, loss_of: DetectionLoss, progress: float) -> float:
        started = time.perf_counter()
        for group in self._optimiser.param_groups:
            group["lr"] = group["highest"] * _rate_share(progress)
        loss = self._set_gradients(batch, loss_of)
        nn.utils.clip_grad_norm_(self._network.parameters(), _LARGEST_GRADIENT)
        self._optimiser.step()
        self._averaged.update_parameters(self._network)
        self.clock.network += time.perf_counter() - started
        return loss

    def _set_gradients(self, batch: Batch, loss_of: DetectionLoss) -> float:
        """Parts of the batch run beside each other, each on one core.

        All cores on one batch would wait for the slowest at every layer. The parts are the same and are added in the
        same order on any number of cores, so the result does not depend on it.
        """
        parts = list(self._pool.map(partial(self._gradients, loss_of), _split(batch)))
        for weights, *gradients in zip(self._network.parameters(), *(own for _, own in parts), strict=True):
            weights.grad = torch.stack(gradients).mean(0)
        return float(np.mean([loss for loss, _ in parts]))

    def _gradients(self, loss_of: DetectionLoss, part: Batch) -> tuple[float, tuple[torch.Tensor, ...]]:
        loss = loss_of(self._network(part.pixels), part.truths)
        gradients = torch.autograd.grad(
            loss, list(self._network.parameters()), allow_unused=True, materialize_grads=True
        )
        return loss.item(), gradients

    def _batches(self, side: int) -> Iterator[tuple[float, Batch]]:
        """The batches of a round, each with the share of the round that comes before it."""
        order = self._scenes.order(self.rounds_done, self.draws)
        for first in range(0, len(order), self._recipe.batch):
            images = order[first : first + self._recipe.batch].tolist()
            yield first / len(order), self._scenes.batch(images, side, self.rounds_done, first)

    def _progress(self, share_of_round: float) -> float:
        return (self.rounds_done + share_of_round) / self._recipe.rounds

    def _side(self) -> int:
        is_early = self.rounds_done < self._recipe.small * self._recipe.rounds
        return _small_side(self._recipe) if is_early else self._recipe.side


def _optimiser(network: NanoDet, recipe: Recipe) -> torch.optim.Optimizer:
    heads = list(network.heads.parameters())
    known = {id(weights) for weights in heads}
    body = [weights for weights in network.parameters() if id(weights) not in known]
    groups = [
        {"params": body, "highest": recipe.rate},
        {"params": heads, "highest": recipe.rate * _HEAD_RATE},
    ]
    return torch.optim.AdamW(groups, lr=recipe.rate, weight_decay=recipe.decay, fused=True)


def _small_side(recipe: Recipe) -> int:
    return max(_CELL, round(recipe.side * recipe.small_size / _CELL) * _CELL)


def _rate_share(progress: float) -> float:
    """The learning rate as a share of its highest: up, then down along a cosine (Loshchilov and Hutter 2017)."""
    if progress < _WARM_UP:
        return 0.04 + 0.96 * progress / _WARM_UP
    return 0.5 + 0.5 * float(np.cos(np.pi * (progress - _WARM_UP) / (1 - _WARM_UP)))


def _ahead(items: Iterator[tuple[float, Batch]]) -> Iterator[tuple[float, Batch]]:
    """Makes each item while the one before it is used."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(next, items, None)
        while (item := future.result()) is not None:
            future = pool.submit(next, items, None)
            yield item


def _split(batch: Batch) -> list[Batch]:
    return [
        Batch(batch.pixels[first : first + _PART], batch.truths[first : first + _PART])
        for first in range(0, len(batch.truths), _PART)
    ]
