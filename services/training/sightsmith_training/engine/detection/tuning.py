"""The training loop: fine-tunes a detector for a number of steps, and can go on where it was stopped."""

import copy
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sightsmith_training.engine.classification.truth import Rows
from sightsmith_training.engine.detection.losses import DetectionLoss, Truth
from sightsmith_training.engine.detection.network import NanoDet
from sightsmith_training.engine.detection.scenes import Batch, Scenes
from sightsmith_training.engine.distribution.checkpoints import State, read_state
from sightsmith_training.engine.distribution.learners import Learner, learner_for
from sightsmith_training.engine.distribution.places import Place

_LARGEST_GRADIENT = 10.0
_COUNT_MEMORY = 0.9
_WARM_UP = 0.1  # Share of the steps in which the learning rate rises.
_HEAD_RATE = 2.0  # The new layer learns faster than the known ones.
_PART = 2  # Pictures that one core sees at once; few enough that a batch keeps several cores busy.
_PROCESSOR = Place(torch.device("cpu"))


@dataclass(frozen=True)
class Recipe:
    """How a detector is fine-tuned.

    Attributes:
        steps: of the optimiser.
        side: of the detector's input in pixels, a multiple of 32.
        part: side of the pictures that show parts of images, in pixels, a multiple of 32; at most `side`.
        whole: share of the steps, the last ones, that see whole images, or as much of them as is affordable.
        largest: side of the largest pictures that are shown; an image that is larger is never seen whole, because such
            a step would take as long as many of the others.
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
    largest: int = 640
    batch: int = 4
    rate: float = 5e-4
    decay: float = 0.01
    memory: float = 0.02
    frozen: int = 0

    @property
    def last_part(self) -> int:
        """Side of the pictures that the last steps see."""
        return min(self.side, self.largest)


@dataclass
class Clock:
    """Where the time of the training goes, in seconds: all of it, and the part that is spent in the network."""

    total: float = 0.0
    network: float = 0.0


class Tuner:
    """Fine-tunes a network, on the processor or on a GPU.

    It expects `torch.set_num_threads(1)`: on the processor it runs parts of a batch beside each other itself.

    Args:
        network: to be tuned; it is changed.
        scenes: what it is shown.
        recipe: how it is tuned.
        threads: cores to use.
        place: where the network learns.

    Attributes:
        averaged: the network with averaged weights, which is the one to use; a copy, on the processor.
        steps_done: how many steps are finished.
        draws: how often each image is seen in one pass over all, shape [images]; may be changed at any time.
        losses: the mean loss of each call of `train`, by the step at its end.
        clock: where the time went, in this process.
    """

    def __init__(
        self, network: NanoDet, scenes: Scenes, recipe: Recipe, threads: int, place: Place = _PROCESSOR
    ) -> None:
        self.steps_done = 0
        self.draws = np.ones(len(scenes), dtype=np.intp)
        self.losses: dict[int, float] = {}
        self.clock = Clock()
        self._usual_count = 0.0
        self._scenes = scenes
        self._recipe = recipe
        self._place = place
        # A GPU is faster than one core can make pictures for it.
        self._makers = 1 if place.device.type == "cpu" else threads
        self._network = network.to(place.device).to(memory_format=torch.channels_last)
        self._freeze(recipe.frozen)
        self._learning = [weights for weights in network.parameters() if weights.requires_grad]
        average = get_ema_multi_avg_fn(_decay(recipe))  # type: ignore[no-untyped-call]
        self._averaged = AveragedModel(self._network, multi_avg_fn=average)
        self._optimiser = _optimiser(self._network, recipe)
        self._losses = {side: DetectionLoss(side, network.labels) for side in {recipe.last_part, recipe.part}}
        self._threads = threads
        self._learner = self._new_learner()

    @property
    def averaged(self) -> NanoDet:
        return copy.deepcopy(cast(NanoDet, self._averaged.module)).cpu().eval()

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
        waited, losses = 0.0, []
        batches = _ahead(self._batches(until), self._makers)
        while self.steps_done < until:
            asked = time.perf_counter()
            side, batch = next(batches)
            waited += time.perf_counter() - asked
            losses.append(self._step(side, batch))
        # Here a GPU is waited for, and nowhere before.
        self.losses[self.steps_done] = float(torch.stack(losses).mean())
        seconds = time.perf_counter() - started
        # A GPU works while pictures are waited for, and its own marks tell how long; they pile up until they are read.
        inside, _ = self._learner.clock()
        self.clock.total += seconds
        self.clock.network += min(inside, seconds) if self._place.device.type == "cuda" else seconds - waited

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
                "scale": self._learner.scale,
            },
            beside,
        )
        beside.replace(file)

    def load(self, file: Path) -> None:
        """Goes on from a checkpoint of the same network, scenes and recipe; it may be from another kind of place.

        From a file that is not there, or damaged, the training begins anew.
        """
        state = read_state(file)
        if state is None:
            return
        self._network.load_state_dict(state["network"])
        self._averaged.load_state_dict(state["averaged"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.steps_done = state["steps_done"]
        self.draws = state["draws"].numpy()
        self.losses = state["losses"]
        self._usual_count = state["usual_count"]
        self._learner.close()
        self._learner = self._new_learner(state["scale"])

    def _new_learner(self, scale: State | None = None) -> "Learner[_Part]":
        return learner_for(
            self._place, self._network, self._optimiser, _loss_of, _join, threads=self._threads, scale=scale
        )

    def _step(self, side: int, batch: Batch) -> torch.Tensor:
        for group in self._optimiser.param_groups:
            group["lr"] = group["highest"] * _rate_share(self.steps_done / self._recipe.steps)
        loss = self._learner.set_gradients(self._parts(batch, self._losses[side]))
        nn.utils.clip_grad_norm_(self._learning, _LARGEST_GRADIENT)
        self._learner.step()
        self._averaged.update_parameters(self._network)
        self.steps_done += 1
        return loss

    def _freeze(self, stages: int) -> None:
        if stages:
            for part in (self._network.stem, *self._network.stages[:stages]):
                part.requires_grad_(False)

    def _parts(self, batch: Batch, loss: DetectionLoss) -> list[Callable[[], "_Part"]]:
        """The same parts on any number of cores, so that the result does not depend on it; a GPU takes all at once."""
        assigned = loss.assign(batch.truths)
        self._count(assigned)
        size = _PART if self._place.device.type == "cpu" else len(batch.truths)
        parts = [slice(first, first + size) for first in range(0, len(batch.truths), size)]
        return [
            partial(_Part, batch.pixels[part], batch.truths[part], assigned[part], loss, self._usual_count)
            for part in parts
        ]

    def _count(self, assigned: torch.Tensor) -> None:
        """Keeps account of how many points of a step have a box, the last steps above all."""
        count = float((assigned >= 0).sum())
        memory = _COUNT_MEMORY if self._usual_count else 0.0
        self._usual_count = max(1.0, memory * self._usual_count + (1 - memory) * count)

    def _batches(self, until: int) -> Iterator[Callable[[], tuple[int, Batch]]]:
        """What makes the batches of the steps up to one, each with the side of its pictures."""
        recipe, draws = self._recipe, self.draws
        for step in range(self.steps_done, until):
            side = recipe.part if step < (1 - recipe.whole) * recipe.steps else recipe.last_part
            yield partial(self._batch, step * recipe.batch, side, draws)

    def _batch(self, first: int, side: int, draws: Rows) -> tuple[int, Batch]:
        images = self._scenes.images(first, self._recipe.batch, draws)
        batch = self._scenes.batch(images, side, side / self._recipe.side, first)
        if self._place.device.type == "cuda":
            batch = replace(batch, pixels=batch.pixels.pin_memory())
        return side, batch


@dataclass(frozen=True)
class _Part:
    """Some pictures of a step, and what they need to be judged; for the last three see `DetectionLoss`."""

    pixels: torch.Tensor
    truths: list[Truth]
    assigned: torch.Tensor
    loss: DetectionLoss
    usual_count: float


def _join(parts: Sequence[_Part]) -> _Part:
    """A step's parts as one; a single one stays in the memory from which a GPU can fetch it."""
    if len(parts) == 1:
        return parts[0]
    pixels = torch.cat([part.pixels for part in parts])
    truths = [truth for part in parts for truth in part.truths]
    assigned = torch.cat([part.assigned for part in parts])
    return replace(parts[0], pixels=pixels, truths=truths, assigned=assigned)


def _loss_of(network: nn.Module, part: _Part) -> torch.Tensor:
    device = next(network.parameters()).device
    answers = network(part.pixels.to(device, non_blocking=True))
    # Overlaps of boxes are differences of large numbers: too fine for the precision of the layers.
    with torch.autocast(device.type, enabled=False):
        return part.loss(answers.float(), part.truths, part.assigned, part.usual_count)


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


def _rate_share(progress: float) -> float:
    """The learning rate as a share of its highest: up, then down along a cosine (Loshchilov and Hutter 2017)."""
    if progress < _WARM_UP:
        return 0.04 + 0.96 * progress / _WARM_UP
    return 0.5 + 0.5 * float(np.cos(np.pi * (progress - _WARM_UP) / (1 - _WARM_UP)))


def _ahead(makes: Iterator[Callable[[], tuple[int, Batch]]], makers: int) -> Iterator[tuple[int, Batch]]:
    """Makes as many items as there are makers, in their order, while the one before them is used."""
    with ThreadPoolExecutor(makers) as pool:
        waiting: deque[Future[tuple[int, Batch]]] = deque(pool.submit(make) for make in islice(makes, makers))
        while waiting:
            item = waiting.popleft().result()
            waiting.extend(pool.submit(make) for make in islice(makes, 1))
            yield item
