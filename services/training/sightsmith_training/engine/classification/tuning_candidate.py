"""Fine-tuning as a contender of successive halving."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sightsmith_training.engine.classification.candidates import Trial, Untried
from sightsmith_training.engine.classification.fine_tuning import Epoch, Examples, FineTuning, Recipe, Report
from sightsmith_training.engine.classification.folds import Fold
from sightsmith_training.engine.classification.heads import Head
from sightsmith_training.engine.classification.kept import Kept
from sightsmith_training.engine.classification.truth import Activation, Logits, Rows, Truth
from sightsmith_training.engine.distribution.checkpoints import State, read_state, write_state
from sightsmith_training.engine.distribution.devices import DeviceWish
from sightsmith_training.engine.distribution.trials import InProcessTrials, Trials
from sightsmith_training.engine.progress import Note, no_note
from sightsmith_training.engine.samples import Pixels

RUNGS = (3, 6, 12)
"""Epochs at the end of each rung."""

_IMAGES_FOR_A_MEMBER = 2  # Of each batch, at least: with fewer, members would mostly wait for each other.
_SECONDS_BETWEEN_SAVES = 30.0
_IMAGES_WORTH_A_GROUP = 20_000  # Seen in a training: processes take seconds to start and to find each other.
_NONE = np.zeros(0, dtype=np.intp)
_DEARER_THAN_USE = 14
"""A step of learning on an image, as a multiple of the use of the network: the way back, and slower graphs."""


@dataclass(frozen=True)
class TuningGround:
    """What all fine-tunings of a search share.

    Attributes:
        pixels: of the training images, shape [images, side, side, 3].
        truth: shape [images, labels].
        activation: behind the head.
        splits: to race on: folds of one repetition, so no image is judged twice.
        kept: where fine-tunings keep how far they are, and what came of it.
        seed: decides everything random.
        threads: cores for each training.
        trials: where it is trained.
        device: on what.
        note: called with what is trained, and with its figures after each epoch.
    """

    pixels: Pixels
    truth: Truth
    activation: Activation
    splits: Sequence[Fold]
    kept: Kept
    seed: int
    threads: int
    trials: Trials = field(default_factory=InProcessTrials)
    device: DeviceWish = "auto"
    note: Note = no_note

    @cached_property
    def shared_pixels(self) -> Pixels:
        """The pixels, where trials find them."""
        return self.trials.share(self.pixels)


def epoch_seconds(image_cost: float, images: int, threads: int) -> float:
    """Expected for an epoch.

    Args:
        image_cost: seconds for one image when the backbone is used, on an ordinary core.
        images: to learn from.
        threads: cores to use.
    """
    return image_cost * _DEARER_THAN_USE * images / threads


@dataclass(frozen=True)
class TuningTask:
    """A piece of fine-tuning: all that it takes beside the backbone and the pixels, which are large.

    Attributes:
        head: from which it starts.
        recipe: of the fine-tuning.
        seed: decides everything random.
        threads: cores to use.
        device: on what.
        truth: shape [images, labels].
        learn: positions of the images to learn from.
        held_out: positions of those that judge each epoch; may be empty.
        judged: positions of those that it is judged by in the end; may be empty.
        until: number of the last epoch.
        state: from which it goes on; None at the beginning.
        checkpoint: file that is renewed after each epoch, if the work sees this machine's files.
    """

    head: Head
    recipe: Recipe
    seed: int
    threads: int
    device: DeviceWish
    truth: Truth
    learn: Rows
    held_out: Rows
    judged: Rows
    until: int
    state: State | None = None
    checkpoint: Path | None = None


@dataclass(frozen=True)
class Tuned:
    """What came of a piece of fine-tuning.

    Attributes:
        epochs: all so far.
        best_epoch: after how many of them the held-out loss was lowest; all of them without held-out images.
        logits: of the judged images at that epoch, shape [judged, labels].
    """

    epochs: list[Epoch]
    best_epoch: int
    logits: Logits

    @property
    def state(self) -> State:
        """To be kept."""
        epochs = [vars(epoch) for epoch in self.epochs]
        return {"epochs": epochs, "best_epoch": self.best_epoch, "logits": torch.tensor(self.logits)}

    @classmethod
    def of(cls, state: State) -> "Tuned":
        """What was kept."""
        epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        return cls(epochs, state["best_epoch"], state["logits"].numpy())


def tune(
    backbone: nn.Module, pixels: Pixels, task: TuningTask, advance: Report = lambda share, epochs: None
) -> tuple[Tuned, State]:
    """Does a piece of fine-tuning, in whatever process and on whatever machine it is called.

    Returns:
        What came of it, and from what it can go on.
    """
    tuning = FineTuning(backbone, task.head, task.recipe, task.seed, task.threads, task.device)
    if task.state is not None:
        tuning.restore(task.state)
    tuning.run(Examples(pixels, task.truth, task.learn, task.held_out), task.until, task.checkpoint, advance)
    logits = tuning.logits(pixels[task.judged]) if len(task.judged) else np.zeros((0, task.truth.shape[1]))
    return Tuned(tuning.epochs, tuning.best_epoch, logits), tuning.state


class TuningCandidate:
    """One recipe for one backbone, tried on one or more splits."""

    def __init__(
        self,
        backbone: str,
        image_cost: float,
        load: Callable[[], nn.Module],
        fit_head: Callable[[Rows], Head],
        recipe: Recipe,
        ground: TuningGround,
    ) -> None:
        """Takes what it takes to begin.

        Args:
            backbone: its name.
            image_cost: seconds for one image when the backbone is used, on an ordinary core.
            load: gives the pretrained backbone.
            fit_head: gives a head on frozen features, fitted on some of the training images.
            recipe: of the fine-tuning.
            ground: what it shares with the other candidates.
        """
        self.backbone = backbone
        self.recipe = recipe
        self._image_cost = image_cost
        self._load = load
        self._fit_head = fit_head
        self._ground = ground
        self._epochs_before: list[int] = [0, *RUNGS]
        self._rungs = 0
        self._splits = list(ground.splits)
        self._tuned: list[Tuned] = []
        self._heads: dict[str, Head] = {}

    @property
    def name(self) -> str:
        """Says what it is, for people."""
        return f"fine_tuning {self.backbone} (body_rate {self.recipe.body_rate:g})"

    @property
    def _parameters(self) -> dict[str, float]:
        unusual = {} if self.recipe.augmentation.mirror else {"mirror": 0.0}
        return {"body_rate": self.recipe.body_rate, "frozen_share": self.recipe.frozen_share, **unusual}

    def cost(self, rung: int) -> float:
        """Estimated seconds of a rung over all splits."""
        epochs = RUNGS[rung] - self._epochs_before[rung]
        images = sum(len(split.learn) for split in self._ground.splits)
        return epochs * epoch_seconds(self._image_cost, images, self._ground.threads)

    @property
    def final_cost(self) -> float:
        """Estimated seconds of the training on all images that follows if this candidate wins."""
        return self.recipe.epochs * epoch_seconds(self._image_cost, len(self._ground.truth), self._ground.threads)

    def train(self, rung: int) -> float:
        """Trains each split to the end of a rung; gives the seconds of its epochs, whichever process ran them."""
        self._tuned = [self._judge(number, split, split.test, RUNGS[rung]) for number, split in enumerate(self._splits)]
        self._rungs = rung + 1
        ran = slice(self._epochs_before[rung], RUNGS[rung])
        return sum(epoch.seconds for tuned in self._tuned for epoch in tuned.epochs[ran])

    def further_cost(self, split: Fold) -> float:
        """Estimated seconds of training as far on one more split."""
        return self._best_epoch * epoch_seconds(self._image_cost, len(split.learn), self._ground.threads)

    def train_further(self, split: Fold) -> None:
        """Trains on one more split, whose images count for the score from then on.

        For as many epochs as were best in the race: to choose them by the very images that then judge would flatter.
        """
        self._tuned.append(self._judge(len(self._splits), split, _NONE, self._best_epoch))
        self._splits.append(split)

    @property
    def _best_epoch(self) -> int:
        """Of the race, whose splits are the first ones."""
        raced = self._tuned[: len(self._ground.splits)]
        return round(float(np.mean([tuned.best_epoch for tuned in raced])))

    def score(self) -> float:
        """Macro-F1 over the images that its splits held out."""
        return self.trial(0.0, "").mean

    def trial(self, seconds: float, dropped: str) -> Trial:
        """The record of this candidate as far as it came."""
        judged = np.concatenate([split.test for split in self._splits])
        logits = np.concatenate([tuned.logits for tuned in self._tuned])
        order = np.argsort(judged)
        rows = judged[order]
        return Trial(
            kind="fine_tuning",
            backbones=(self.backbone,),
            parameters=self._parameters,
            activation=self._ground.activation,
            logits=logits[order][None],
            judged=rows,
            truth=self._ground.truth[rows],
            seconds=seconds,
            milliseconds=1000 * self._image_cost,
            dropped=dropped,
        )

    def untried(self, reason: str) -> Untried:
        """The record of this candidate if it was never trained."""
        return Untried("fine_tuning", (self.backbone,), self.name, self._parameters, reason)

    def train_on_all(self, advance: Callable[[float], None]) -> tuple[nn.Module, Head, list[Epoch]]:
        """Trains on all images for as many epochs as were best in the race; gives backbone, head and epochs."""
        everything, until = np.arange(len(self._ground.truth)), self._best_epoch
        task = self._task("all", everything, _NONE, _NONE, until)
        members = self.recipe.batch // _IMAGES_FOR_A_MEMBER if len(everything) * until >= _IMAGES_WORTH_A_GROUP else 1
        tuned, state = self._tune("all", task, members, advance)
        tuning = FineTuning(self._load(), task.head, self.recipe, self._ground.seed, self._ground.threads)
        tuning.restore(state)
        return *tuning.result(), tuned.epochs

    def _task(self, part: str, learn: Rows, held_out: Rows, judged: Rows, until: int) -> TuningTask:
        ground = self._ground
        if part not in self._heads:
            self._heads[part] = self._fit_head(learn)
        return TuningTask(
            head=self._heads[part],
            recipe=self.recipe,
            seed=ground.seed,
            threads=ground.threads,
            device=ground.device,
            truth=ground.truth,
            learn=learn,
            held_out=held_out,
            judged=judged,
            until=until,
        )

    def _judge(self, number: int, split: Fold, held_out: Rows, until: int) -> Tuned:
        """What comes of a split up to an epoch, or what came of it when it was trained so far before."""
        part = f"split{number}"

        def do() -> State:
            return self._tune(part, self._task(part, split.learn, held_out, split.test, until))[0].state

        return Tuned.of(self._ground.kept.read_or_do(f"{self._stem}-{part}-to{until}", do))

    def _tune(
        self, part: str, task: TuningTask, members: int = 1, advance: Callable[[float], None] = lambda share: None
    ) -> tuple[Tuned, State]:
        """Has the work done where trials are run; what comes back from other machines is kept here."""
        trials, kept = self._ground.trials, self._ground.kept
        checkpoint = kept.folder / f"{self._stem}-{part}.pt"
        kept.restore(checkpoint)
        if trials.sees_files:
            task = replace(task, checkpoint=checkpoint)
        else:
            task = replace(task, state=read_state(checkpoint))
        activity = f"{self.name}: to epoch {task.until}, {len(task.learn)} images"
        self._ground.note(activity, {})
        report = self._report(activity, checkpoint, advance)
        tuned, state = trials.run(
            tune, self._backbone, self._ground.shared_pixels, task, members=members, advance=report
        )
        if not trials.sees_files:
            write_state(checkpoint, state)
        kept.save(checkpoint)
        self._ground.note(activity, _figures(tuned.epochs))
        return tuned, state

    def _report(self, activity: str, checkpoint: Path, advance: Callable[[float], None]) -> Report:
        """Tells of each epoch, and saves the checkpoint when it was renewed and some time has passed: it is large."""
        saved = time.monotonic()
        before = _changed(checkpoint)

        def report(share: float, epochs: Sequence[Epoch]) -> None:
            nonlocal saved, before
            self._ground.note(activity, _figures(epochs))
            advance(share)
            now = time.monotonic()
            if now - saved >= _SECONDS_BETWEEN_SAVES and _changed(checkpoint) != before:
                self._ground.kept.save(checkpoint)
                saved, before = now, _changed(checkpoint)

        return report

    @cached_property
    def _backbone(self) -> nn.Module:
        return self._ground.trials.share(self._load())

    @property
    def _stem(self) -> str:
        return f"{self.backbone}-{self.recipe.body_rate:g}"


def _figures(epochs: Sequence[Epoch]) -> dict[str, float]:
    """Of the last epoch."""
    if not epochs:
        return {}
    last = epochs[-1]
    held_out = {} if last.held_out_loss is None else {"held_out_loss": last.held_out_loss}
    return {"epoch": len(epochs), "loss": last.loss, "network_share": last.network_share, **held_out}


def _changed(file: Path) -> int:
    """When a file last changed, in nanoseconds; 0 if it is not there."""
    return file.stat().st_mtime_ns if file.exists() else 0
