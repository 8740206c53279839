"""Fine-tuning as a contender of successive halving."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import nn

from sightsmith_training.engine.classification.candidates import Trial, Untried
from sightsmith_training.engine.classification.fine_tuning import Epoch, Examples, FineTuning, Recipe
from sightsmith_training.engine.classification.folds import Fold
from sightsmith_training.engine.classification.heads import Head
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
        checkpoints: folder of the job in which fine-tunings keep how far they are.
        seed: decides everything random.
        threads: cores for each training.
        trials: where it is trained.
        device: on what.
        save: called with each checkpoint now and then after it was renewed, to keep it elsewhere too.
        restore: called with a checkpoint before it is looked for, to bring it back from there.
        note: called with what is trained, and with its figures after each piece.
    """

    pixels: Pixels
    truth: Truth
    activation: Activation
    splits: Sequence[Fold]
    checkpoints: Path
    seed: int
    threads: int
    trials: Trials = field(default_factory=InProcessTrials)
    device: DeviceWish = "auto"
    save: Callable[[Path], None] = lambda file: None
    restore: Callable[[Path], None] = lambda file: None
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
    until: int
    state: State | None = None
    checkpoint: Path | None = None


@dataclass(frozen=True)
class Tuned:
    """What came of a piece of fine-tuning.

    Attributes:
        state: from which it can go on.
        epochs: all so far.
        best_epoch: after how many of them the held-out loss was lowest.
        logits: of the held-out images at that epoch, shape [held out, labels].
    """

    state: State
    epochs: list[Epoch]
    best_epoch: int
    logits: Logits


def tune(
    backbone: nn.Module, pixels: Pixels, task: TuningTask, advance: Callable[[float], None] = lambda share: None
) -> Tuned:
    """Does a piece of fine-tuning, in whatever process and on whatever machine it is called."""
    tuning = FineTuning(backbone, task.head, task.recipe, task.seed, task.threads, task.device)
    if task.state is not None:
        tuning.restore(task.state)
    tuning.run(Examples(pixels, task.truth, task.learn, task.held_out), task.until, task.checkpoint, advance)
    logits = tuning.logits(pixels[task.held_out]) if len(task.held_out) else np.zeros((0, task.truth.shape[1]))
    return Tuned(tuning.state, tuning.epochs, tuning.best_epoch, logits)


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
        self._figures: dict[str, float] = {}

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
        nothing: list[State | None] = [None] * len(self._splits)
        before = [tuned.state for tuned in self._tuned] or nothing
        self._tuned = [
            self._tune(
                self._checkpoint(f"split{number}"), self._task(split.learn, split.test, head, RUNGS[rung], state)
            )
            for number, (split, head, state) in enumerate(zip(self._splits, self._heads, before, strict=True))
        ]
        self._rungs = rung + 1
        ran = slice(self._epochs_before[rung], RUNGS[rung])
        return sum(epoch.seconds for tuned in self._tuned for epoch in tuned.epochs[ran])

    def is_trained(self, rung: int) -> bool:
        """Whether every split has a checkpoint from the end of a rung, or beyond it."""
        return all(
            self._epochs_kept(self._checkpoint(f"split{number}")) >= RUNGS[rung] for number in range(len(self._splits))
        )

    def _epochs_kept(self, checkpoint: Path) -> int:
        self._ground.restore(checkpoint)
        return len((read_state(checkpoint) or {}).get("epochs", ()))

    def further_cost(self, split: Fold) -> float:
        """Estimated seconds of training as far on one more split."""
        return RUNGS[self._rungs - 1] * epoch_seconds(self._image_cost, len(split.learn), self._ground.threads)

    def train_further(self, split: Fold) -> None:
        """Trains as far on one more split, whose images count for the score from then on."""
        checkpoint = self._checkpoint(f"split{len(self._splits)}")
        task = self._task(split.learn, split.test, self._fit_head(split.learn), RUNGS[self._rungs - 1], None)
        self._tuned.append(self._tune(checkpoint, task))
        self._splits.append(split)

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
        """Trains on all images for as many epochs as were best on the splits; gives backbone, head and epochs."""
        everything, nothing = np.arange(len(self._ground.truth)), np.zeros(0, dtype=np.intp)
        until = round(float(np.mean([tuned.best_epoch for tuned in self._tuned])))
        head = self._fit_head(everything)
        task = self._task(everything, nothing, head, until, None)
        members = self.recipe.batch // _IMAGES_FOR_A_MEMBER if len(everything) * until >= _IMAGES_WORTH_A_GROUP else 1
        tuned = self._tune(self._checkpoint("all"), task, members, advance)
        tuning = FineTuning(self._load(), head, self.recipe, self._ground.seed, self._ground.threads)
        tuning.restore(tuned.state)
        return *tuning.result(), tuned.epochs

    def _task(self, learn: Rows, held_out: Rows, head: Head, until: int, state: State | None) -> TuningTask:
        ground = self._ground
        return TuningTask(
            head, self.recipe, ground.seed, ground.threads, ground.device, ground.truth, learn, held_out, until, state
        )

    def _tune(
        self,
        checkpoint: Path,
        task: TuningTask,
        members: int = 1,
        advance: Callable[[float], None] = lambda share: None,
    ) -> Tuned:
        """Has the work done where trials are run; what comes back from other machines is kept here."""
        trials = self._ground.trials
        self._ground.restore(checkpoint)
        if trials.sees_files:
            task = replace(task, checkpoint=checkpoint)
        elif task.state is None:
            task = replace(task, state=read_state(checkpoint))
        activity = f"{self.name}: to epoch {task.until}, {len(task.learn)} images"
        self._ground.note(activity, self._figures)
        report = self._saving(checkpoint, advance)
        tuned = trials.run(tune, self._backbone, self._ground.shared_pixels, task, members=members, advance=report)
        if not trials.sees_files:
            write_state(checkpoint, tuned.state)
        self._ground.save(checkpoint)
        self._figures = _figures(tuned.epochs)
        self._ground.note(activity, self._figures)
        return tuned

    def _saving(self, checkpoint: Path, advance: Callable[[float], None]) -> Callable[[float], None]:
        """Saves the checkpoint, too, when it was renewed and some time has passed; the file is large."""
        saved = time.monotonic()
        before = _changed(checkpoint)

        def report(share: float) -> None:
            nonlocal saved, before
            advance(share)
            now = time.monotonic()
            if now - saved >= _SECONDS_BETWEEN_SAVES and _changed(checkpoint) != before:
                self._ground.save(checkpoint)
                saved, before = now, _changed(checkpoint)

        return report

    @cached_property
    def _heads(self) -> list[Head]:
        return [self._fit_head(split.learn) for split in self._splits]

    @cached_property
    def _backbone(self) -> nn.Module:
        return self._ground.trials.share(self._load())

    def _checkpoint(self, part: str) -> Path:
        return self._ground.checkpoints / f"{self.backbone}-{self.recipe.body_rate:g}-{part}.pt"


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
