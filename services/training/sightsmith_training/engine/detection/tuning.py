"""The training loop: fine-tunes a detector for a number of steps, and can go on where it was stopped."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sightsmith_training.engine.detection.assignment import NO_BOX
from sightsmith_training.engine.detection.losses import DetectionLoss
from sightsmith_training.engine.detection.network import NanoDet
from sightsmith_training.engine.detection.scenes import Batch, Scenes

_LARGEST_GRADIENT = 10.0
_COUNT_MEMORY = 0.9
_WARM_UP = 0.1  # Share of the steps in which the learning rate rises.
_HEAD_RATE = 2.0  # The new layer learns faster than the known ones.
_PART = 2  # Pictures that one core sees at once; few enough that a batch keeps several cores busy.


@dataclass(frozen=True)
class Recipe:
    """How a detector is fine-tuned.

    Attributes:
        steps: of the optimiser.
        side: of the detector's input in pixels, a multiple of 32.
        part: side of the pictures that show parts of images, in pixels, a multiple of 32; at most `side`.
        whole: share of the steps, the last ones, that see whole images.
        batch: pictures a step; with few of them a budget allows more steps, which is worth more.
        rate: highest learning rate of the pretrained layers.
        decay: weight decay of AdamW.
        memory: of the averaged weights, as a share of the steps: what is longer ago hardly counts. A longer one would
            hold back a short training.
        frozen: how many stages, from the pixels, stay as they are; above 0 only for pretrained weights.
    """

    steps: int
    side: int = 416
    part: int = 256
    whole: float = 0.15
    batch: int = 4
    rate: float = 5e-4
    decay: float = 0.01
    memory: float = 0.02
    frozen: int = 0


@dataclass
class Clock:
    """Where the time of the training goes, in seconds: all of it, and the part that is spent in the network."""

    total: float = 0.0
    network: float = 0.0


class Tuner:
    """Fine-tunes a network. It expects `torch.set_num_threads(1)`: it runs parts of a batch beside each other itself.

    Args:
        network: to be tuned; it is changed.
        scenes: what it is shown.
        recipe: how it is tuned.
        threads: cores to use.

    Attributes:
        averaged: the network with averaged weights, which is the one to use.
        steps_done: how many steps are finished.
        draws: how often each image is seen in one pass over all, shape [images]; may be changed at any time.
        losses: the mean loss of each call of `train`, by the step at its end.
        clock: where the time went, in this process.
    """

    def __init__(self, network: NanoDet, scenes: Scenes, recipe: Recipe, threads: int) -> None:
        self.steps_done = 0
        self.draws = np.ones(len(scenes), dtype=np.intp)
        self.losses: dict[int, float] = {}
        self.clock = Clock()
        self._usual_count = 0.0
        self._scenes = scenes
        self._recipe = recipe
        self._pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
        self._network = network.to(memory_format=torch.channels_last)
        self._freeze(recipe.frozen)
        self._learning = [weights for weights in network.parameters() if weights.requires_grad]
        average = get_ema_multi_avg_fn(_decay(recipe))  # type: ignore[no-untyped-call]
        self._averaged = AveragedModel(self._network, multi_avg_fn=average)
        self._optimiser = _optimiser(self._network, recipe)
        self._losses = {side: DetectionLoss(side, network.labels) for side in {recipe.side, recipe.part}}

    @property
    def averaged(self) -> NanoDet:
        return cast(NanoDet, self._averaged.module).eval()

    def train(self, steps: int) -> None:
        """Trains for some steps, at most to the end of the recipe.

        Args:
            steps: at least 1.

        Raises:
            ValueError: if the recipe is at its end.
        """
        until = min(self.steps_done + steps, self._recipe.steps)
        if until <= self.steps_done:
            raise ValueError("there are no steps left")
        self._network.train()
        started = time.perf_counter()
        losses = [self._step(side, batch) for side, batch in _ahead(self._batches(until))]
        self.clock.total += time.perf_counter() - started
        self.losses[self.steps_done] = float(np.mean(losses))

    def save(self, file: Path) -> None:
        """Writes everything needed to go on, beside its place first, so that a whole file lies there at any time."""
        beside = file.with_name(f"{file.name}.new")
        torch.save(
            {
                "network": self._network.state_dict(),
                "averaged": self._averaged.state_dict(),
                "optimiser": self._optimiser.state_dict(),
                "steps_done": self.steps_done,
                "draws": torch.from_numpy(self.draws),
                "losses": self.losses,
                "usual_count": self._usual_count,
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
        self.steps_done = state["steps_done"]
        self.draws = state["draws"].numpy()
        self.losses = state["losses"]
        self._usual_count = state["usual_count"]

    def _step(self, side: int, batch: Batch) -> float:
        started = time.perf_counter()
        for group in self._optimiser.param_groups:
            group["lr"] = group["highest"] * _rate_share(self.steps_done / self._recipe.steps)
        loss = self._set_gradients(batch, self._losses[side])
        nn.utils.clip_grad_norm_(self._learning, _LARGEST_GRADIENT)
        self._optimiser.step()
        self._averaged.update_parameters(self._network)
        self.steps_done += 1
        self.clock.network += time.perf_counter() - started
        return loss

    def _freeze(self, stages: int) -> None:
        if stages:
            for part in (self._network.stem, *self._network.stages[:stages]):
                part.requires_grad_(False)

    def _set_gradients(self, batch: Batch, loss_of: DetectionLoss) -> float:
        """Parts of the batch run beside each other, each on one core.

        All cores on one batch would wait for the slowest at every layer. The parts are the same and are added in the
        same order on any number of cores, so the result does not depend on it.
        """
        assigned = loss_of.assign(batch.truths)
        self._count(assigned)
        firsts = range(0, len(batch.truths), _PART)
        parts = list(self._pool.map(lambda first: self._gradients(loss_of, batch, assigned, first), firsts))
        for weights, *gradients in zip(self._learning, *(own for _, own in parts), strict=True):
            weights.grad = _sum(gradients)
        return sum(loss for loss, _ in parts)

    def _count(self, assigned: torch.Tensor) -> None:
        """Keeps account of how many points of a step have a box, the last steps above all."""
        count = float((assigned != NO_BOX).sum())
        memory = _COUNT_MEMORY if self._usual_count else 0.0
        self._usual_count = max(1.0, memory * self._usual_count + (1 - memory) * count)

    def _gradients(
        self, loss_of: DetectionLoss, batch: Batch, assigned: torch.Tensor, first: int
    ) -> tuple[float, tuple[torch.Tensor, ...]]:
        part = slice(first, first + _PART)
        loss = loss_of(self._network(batch.pixels[part]), batch.truths[part], assigned[part], self._usual_count)
        gradients = torch.autograd.grad(loss, self._learning, allow_unused=True, materialize_grads=True)
        return loss.item(), gradients

    def _batches(self, until: int) -> Iterator[tuple[int, Batch]]:
        """The batches of the steps up to one, each with the side of its pictures."""
        recipe, draws = self._recipe, self.draws
        for step in range(self.steps_done, until):
            first = step * recipe.batch
            side = recipe.part if step < (1 - recipe.whole) * recipe.steps else recipe.side
            images = self._scenes.images(first, recipe.batch, draws)
            yield side, self._scenes.batch(images, side, side / recipe.side, first)


def _optimiser(network: NanoDet, recipe: Recipe) -> torch.optim.Optimizer:
    heads = list(network.heads.parameters())
    known = {id(weights) for weights in heads}
    body = [weights for weights in network.parameters() if weights.requires_grad and id(weights) not in known]
    groups = [
        {"params": body, "highest": recipe.rate},
        {"params": heads, "highest": recipe.rate * _HEAD_RATE},
    ]
    return torch.optim.AdamW(groups, lr=recipe.rate, weight_decay=recipe.decay, fused=True)


def _decay(recipe: Recipe) -> float:
    return 1 - 1 / max(1.0, recipe.memory * recipe.steps)


def _sum(gradients: list[torch.Tensor]) -> torch.Tensor:
    """In place: to stack them would take longer than many a layer."""
    total, *others = gradients
    for other in others:
        total.add_(other)
    return total


def _rate_share(progress: float) -> float:
    """The learning rate as a share of its highest: up, then down along a cosine (Loshchilov and Hutter 2017)."""
    if progress < _WARM_UP:
        return 0.04 + 0.96 * progress / _WARM_UP
    return 0.5 + 0.5 * float(np.cos(np.pi * (progress - _WARM_UP) / (1 - _WARM_UP)))


def _ahead(items: Iterator[tuple[int, Batch]]) -> Iterator[tuple[int, Batch]]:
    """Makes each item while the one before it is used."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(next, items, None)
        while (item := future.result()) is not None:
            future = pool.submit(next, items, None)
            yield item
