"""Teaching a whole network what its head alone cannot see."""

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that torch's own documentation uses

from sightsmith_training.engine.batches import Outputs, run_in_batches
from sightsmith_training.engine.classification.augmentation import Augmentation
from sightsmith_training.engine.classification.heads import Head, activate
from sightsmith_training.engine.classification.scores import log_loss
from sightsmith_training.engine.classification.truth import Logits, Rows, Truth, balanced_weights
from sightsmith_training.engine.classification.tuned_network import TunedNetwork, to_planes
from sightsmith_training.engine.distribution.checkpoints import State, read_state, write_state
from sightsmith_training.engine.distribution.devices import DeviceWish
from sightsmith_training.engine.distribution.learners import Learner, learner_for
from sightsmith_training.engine.distribution.places import Place, find_place
from sightsmith_training.engine.samples import Pixels

_IMAGES_IN_A_PIECE = 8  # Of a batch: one piece a core. Fixed, so that sums do not depend on the number of cores.
_IMAGES_AT_ONCE_ON_A_GPU = 64  # When they are judged.


@dataclass(frozen=True)
class Recipe:
    """How a network is fine-tuned.

    Attributes:
        body_rate: highest learning rate of the backbone.
        head_factor: how much faster the head learns.
        frozen_share: share of the backbone's parameters, from the input on, that stay as they are.
        epochs: how long the schedule is.
        batch: images a step.
        warm_up: share of the steps in which the rates rise.
        weight_decay: of AdamW.
        smoothing: share of the truth that is spread over all labels.
        averaging: how much of the averaged weights stays at each step.
        patience: epochs without a lower held-out loss after which it stops.
        augmentation: of the images.
    """

    body_rate: float = 2e-4
    head_factor: float = 3.0
    frozen_share: float = 0.3
    epochs: int = 12
    batch: int = 16
    warm_up: float = 0.1
    weight_decay: float = 1e-4
    smoothing: float = 0.05
    averaging: float = 0.98
    patience: int = 4
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True)
class Examples:
    """Images and their labels.

    Attributes:
        pixels: shape [images, side, side, 3].
        truth: shape [images, labels].
        learn: positions of the images to learn from, at least one.
        held_out: positions of those that judge each epoch; may be empty.
    """

    pixels: Pixels
    truth: Truth
    learn: Rows
    held_out: Rows = field(default_factory=lambda: np.zeros(0, dtype=np.intp))


@dataclass(frozen=True)
class Epoch:
    """One pass over the images.

    Attributes:
        loss: mean of the steps, with smoothed and weighted truth.
        held_out_loss: log loss of the averaged weights on the held-out images, in nats; None without such images.
        seconds: wall time.
        network_share: share of the time of all cores' work that went into the network, 0 to 1; the rest is reading and
            altering images.
    """

    loss: float
    held_out_loss: float | None
    seconds: float
    network_share: float


Report = Callable[[float, Sequence[Epoch]], None]
"""Called with the share of a run's steps that are done, and with all epochs so far."""


class FineTuning:
    """A network on its way, which can be stopped after any epoch and go on in another process.

    Random numbers depend on the seed and the step alone, and learning rates on the step, so a checkpoint needs neither.
    It learns on a GPU if this process finds one. If the process is a member of a group, the members share each batch:
    but for rounding the result is that of one process. It expects `torch.set_num_threads(1)`.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        recipe: Recipe,
        seed: int,
        threads: int,
        device: DeviceWish = "auto",
    ) -> None:
        """Starts from a pretrained backbone, which is copied, and a head fitted on its features."""
        self.recipe = recipe
        self.epochs: list[Epoch] = []
        self._seed, self._threads, self._device = seed, threads, device
        self._network = TunedNetwork(copy.deepcopy(backbone), head)
        self._network.freeze(recipe.frozen_share)
        self._average = copy.deepcopy(self._network).requires_grad_(False)
        self._learning: list[Tensor] = [
            parameter for parameter in self._network.parameters() if parameter.requires_grad
        ]
        self._averaged: list[Tensor] = [
            average
            for average, parameter in zip(self._average.parameters(), self._network.parameters(), strict=True)
            if parameter.requires_grad
        ]
        head_parameters = {id(parameter) for parameter in self._network.head.parameters()}
        body = [parameter for parameter in self._learning if id(parameter) not in head_parameters]
        self._optimiser = torch.optim.AdamW(
            [{"params": body, "pace": 1.0}, {"params": self._network.head.parameters(), "pace": recipe.head_factor}],
            lr=recipe.body_rate,
            weight_decay=recipe.weight_decay,
        )
        self._best: tuple[float, dict[str, Tensor]] | None = None
        self._scale: State = {}

    @property
    def stopped(self) -> bool:
        """Whether the schedule is over or the held-out loss has not fallen for as long as the recipe waits."""
        losses = [epoch.held_out_loss for epoch in self.epochs if epoch.held_out_loss is not None]
        stale = len(losses) - 1 - int(np.argmin(losses)) >= self.recipe.patience if losses else False
        return stale or len(self.epochs) >= self.recipe.epochs

    @property
    def best_epoch(self) -> int:
        """After how many epochs the held-out loss was lowest; all of them without held-out images."""
        losses = [math.inf if epoch.held_out_loss is None else epoch.held_out_loss for epoch in self.epochs]
        return int(np.argmin(losses)) + 1 if np.isfinite(losses).any() else len(self.epochs)

    def run(
        self,
        examples: Examples,
        until: int,
        checkpoint: Path | None = None,
        advance: Report = lambda share, epochs: None,
    ) -> None:
        """Goes on to the end of an epoch, or stops earlier.

        Args:
            examples: always the same ones for one fine-tuning.
            until: number of the last epoch.
            checkpoint: file from which it goes on if it is there and fits, and that is renewed after each epoch.
            advance: called after each step and each epoch.
        """
        if checkpoint is not None:
            self._read(checkpoint)
        first = len(self.epochs)
        place = find_place(self._device)
        with self._learner_at(place) as learner:
            while len(self.epochs) < until and not self.stopped:
                done, whole = len(self.epochs) - first, until - first
                self._run_epoch(examples, place, learner, self._part(advance, done / whole, 1 / whole))
                if checkpoint is not None and place.is_first:
                    write_state(checkpoint, self.state)
                advance((done + 1) / whole, self.epochs)

    def logits(self, pixels: Pixels) -> Logits:
        """What the averaged weights of the best epoch say; shape [images, labels]."""
        return self._score(self._at_best(), pixels, find_place(self._device).device)

    def result(self) -> tuple[nn.Module, Head]:
        """The backbone and the head with the averaged weights of the best epoch."""
        network = self._at_best()
        return network.backbone, network.as_head()

    def _at_best(self) -> TunedNetwork:
        network = copy.deepcopy(self._average)
        if self._best is not None:
            network.load_state_dict(self._best[1])
        return network

    @contextmanager
    def _learner_at(self, place: Place) -> Iterator[Learner["_Part"]]:
        """Brings everything to where the network learns, and back: between its runs it takes up no memory of a GPU."""
        self._move_to(place.device)
        learner = learner_for(place, self._network, self._optimiser, self._loss_of, _join, self._threads, self._scale)
        try:
            yield learner
        finally:
            self._scale = learner.scale
            learner.close()
            self._move_to(torch.device("cpu"))

    def _move_to(self, device: torch.device) -> None:
        self._network.to(device)
        self._average.to(device)
        # It puts what it remembers of each parameter beside the parameter.
        self._optimiser.load_state_dict(self._optimiser.state_dict())

    def _run_epoch(
        self, examples: Examples, place: Place, learner: Learner["_Part"], advance: Callable[[float], None]
    ) -> None:
        started = time.monotonic()
        weights = _weights_of(examples, self._network)
        batches = list(self._batches(examples.learn, len(self.epochs)))
        losses = []
        for number, rows in enumerate(batches):
            step = len(self.epochs) * len(batches) + number
            losses.append(learner.set_gradients(self._parts(examples, weights, rows, step, place)))
            self._set_rates(step / (self.recipe.epochs * len(batches)))
            learner.step()
            self._update_average(step)
            advance((number + 1) / len(batches))
        held_out = self._judge(examples, place)
        network, whole = learner.clock()
        loss = place.total(float(torch.stack(losses).mean()))
        self.epochs.append(Epoch(loss, held_out, time.monotonic() - started, network / whole))

    def _part(self, advance: Report, start: float, length: float) -> Callable[[float], None]:
        return lambda share: advance(start + length * share, self.epochs)

    def _batches(self, learn: Rows, epoch: int) -> Iterator[Rows]:
        order = np.random.default_rng([self._seed, epoch]).permutation(learn)
        # Of even size: a last batch of one image would teach as much as a full one.
        yield from np.array_split(order, max(1, round(len(order) / self.recipe.batch)))

    def _parts(
        self, examples: Examples, weights: npt.NDArray[np.float32], rows: Rows, step: int, place: Place
    ) -> list[Callable[[], "_Part"]]:
        """What makes this process's pieces of a batch."""
        own = place.share(len(rows))
        shares = weights / weights[rows].sum()
        pieces = np.array_split(np.arange(len(rows)), math.ceil(len(rows) / _IMAGES_IN_A_PIECE))

        def make(number: int, piece: Rows) -> "_Part":
            # Memory-mapped pixels are read here, in the thread that needs them.
            planes = to_planes(examples.pixels[rows[piece]])
            # Altered as a whole, so that chance does not depend on who has which images.
            altered = self.recipe.augmentation.apply(planes, np.random.default_rng([self._seed, step, number]))
            mine = (piece >= own.start) & (piece < own.stop)
            truth = examples.truth[rows[piece]][mine].astype(np.float32)
            weight = shares[rows[piece]][mine]
            return _Part(altered[torch.from_numpy(mine)], torch.from_numpy(truth), torch.from_numpy(weight))

        return [
            partial(make, number, piece)
            for number, piece in enumerate(pieces)
            if piece[0] < own.stop and piece[-1] >= own.start
        ]

    def _loss_of(self, network: nn.Module, part: "_Part") -> Tensor:
        device = self._network.head.weight.device
        planes, truth, weights = (each.to(device) for each in (part.planes, part.truth, part.weights))
        return (self._losses(network(planes).float(), truth) * weights).sum()

    def _losses(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Of each image [images, 1], or of each image and label [images, labels] under sigmoids."""
        smoothing, labels = self.recipe.smoothing, truth.shape[1]
        if self._network.activation == "softmax":
            return F.cross_entropy(logits, truth * (1 - smoothing) + smoothing / labels, reduction="none")[:, None]
        return F.binary_cross_entropy_with_logits(logits, truth * (1 - smoothing) + smoothing / 2, reduction="none")

    def _set_rates(self, position: float) -> None:
        """Rising in a line, then falling along a cosine (Loshchilov and Hutter, "SGDR", 2017); position is 0 to 1."""
        warm_up = self.recipe.warm_up
        if position < warm_up:
            share = (position + 0.01) / (warm_up + 0.01)
        else:
            share = (1 + math.cos(math.pi * (position - warm_up) / (1 - warm_up))) / 2
        for group in self._optimiser.param_groups:
            group["lr"] = self.recipe.body_rate * group["pace"] * share

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        # Young averages must not cling to where they started.
        keep = min(self.recipe.averaging, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averaged, self._learning, 1 - keep)

    def _judge(self, examples: Examples, place: Place) -> float | None:
        if not len(examples.held_out):
            return None
        own = examples.held_out[place.share(len(examples.held_out))]
        logits = place.gather(self._score(self._average, examples.pixels[own], place.device))
        activation = self._network.activation
        loss = log_loss(activate(logits, activation), examples.truth[examples.held_out], activation)
        if self._best is None or loss < self._best[0]:
            self._best = (loss, {name: each.cpu().clone() for name, each in self._average.state_dict().items()})
        return loss

    def _score(self, network: nn.Module, pixels: Pixels, device: torch.device) -> Logits:
        network.to(device)

        def score(batch: Pixels) -> Outputs:
            with torch.inference_mode():
                return np.asarray(network(to_planes(batch).to(device)).cpu().numpy())

        if device.type == "cpu":
            return run_in_batches(score, pixels, self._threads).astype(np.float64)
        sizes = [_IMAGES_AT_ONCE_ON_A_GPU] * math.ceil(len(pixels) / _IMAGES_AT_ONCE_ON_A_GPU)
        return run_in_batches(score, pixels, 1, first=sizes).astype(np.float64)

    @property
    def state(self) -> State:
        """Everything needed to go on; the tensors are the present ones, not copies."""
        return {
            "network": self._network.state_dict(),
            "average": self._average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "scale": self._scale,
            "best": self._best,
            "epochs": [vars(epoch) for epoch in self.epochs],
        }

    def restore(self, state: State) -> None:
        """Goes back to a state of a fine-tuning of the same network.

        Raises:
            KeyError, RuntimeError, ValueError: if it is of another one.
        """
        self._network.load_state_dict(state["network"])
        self._average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._scale = state["scale"]
        self._best, self.epochs = state["best"], [Epoch(**epoch) for epoch in state["epochs"]]

    def _read(self, file: Path) -> None:
        """Goes back to a checkpoint; one that is of another network is as good as none."""
        state = read_state(file)
        if state is not None:
            with suppress(RuntimeError, KeyError, ValueError):
                self.restore(state)


@dataclass(frozen=True)
class _Part:
    """Some images of a batch: planes [images, 3, side, side], smoothable truth [images, labels], and weights."""

    planes: Tensor
    truth: Tensor
    weights: Tensor


def _join(parts: Sequence[_Part]) -> _Part:
    planes, truth, weights = zip(*((part.planes, part.truth, part.weights) for part in parts), strict=True)
    return _Part(torch.cat(planes), torch.cat(truth), torch.cat(weights))


def _weights_of(examples: Examples, network: TunedNetwork) -> npt.NDArray[np.float32]:
    """Balanced weights of the images to learn from, in the rows of all images."""
    balanced = balanced_weights(examples.truth[examples.learn], network.activation)
    weights = np.zeros((len(examples.truth), balanced.shape[1]), np.float32)
    weights[examples.learn] = balanced
    return weights
