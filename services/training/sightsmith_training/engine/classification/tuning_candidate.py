"""Fine-tuning as a contender of successive halving."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import nn

from sightsmith_training.engine.classification.candidates import Trial
from sightsmith_training.engine.classification.fine_tuning import Epoch, Examples, FineTuning, Recipe
from sightsmith_training.engine.classification.folds import Fold
from sightsmith_training.engine.classification.heads import Head
from sightsmith_training.engine.classification.truth import Activation, Rows, Truth
from sightsmith_training.engine.samples import Pixels

RUNGS = (3, 6, 12)
"""Epochs at the end of each rung."""

_DEARER_THAN_USE = 14
"""A step of learning on an image, as a multiple of the use of the network: the way back, and slower graphs."""


@dataclass(frozen=True)
class TuningGround:
    """What all fine-tunings of a search share.

    Attributes:
        pixels: of the training images, shape [images, side, side, 3].
        truth: shape [images, labels].
        activation: behind the head.
        splits: folds of one repetition, so no image is judged twice.
        checkpoints: folder of the job in which fine-tunings keep how far they are.
        seed: decides everything random.
        threads: cores to use.
    """

    pixels: Pixels
    truth: Truth
    activation: Activation
    splits: Sequence[Fold]
    checkpoints: Path
    seed: int
    threads: int


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

    @property
    def name(self) -> str:
        """Says what it is, for people."""
        return f"fine_tuning {self.backbone} (body_rate {self.recipe.body_rate:g})"

    def cost(self, rung: int) -> float:
        """Estimated seconds of a rung over all splits."""
        epochs = RUNGS[rung] - self._epochs_before[rung]
        images = sum(len(split.learn) for split in self._ground.splits)
        return epochs * images * self._epoch_cost

    @property
    def final_cost(self) -> float:
        """Estimated seconds of the training on all images that follows if this candidate wins."""
        return self.recipe.epochs * len(self._ground.truth) * self._epoch_cost

    @property
    def _epoch_cost(self) -> float:
        return self._image_cost * _DEARER_THAN_USE / self._ground.threads

    def train(self, rung: int) -> None:
        """Trains each split to the end of a rung."""
        for number, (split, tuning) in enumerate(zip(self._ground.splits, self._tunings, strict=True)):
            tuning.run(self._examples(split), RUNGS[rung], self._checkpoint(f"split{number}"))

    def score(self) -> float:
        """Macro-F1 over the images that the splits held out."""
        return self.trial(0.0, "").mean

    def trial(self, seconds: float, dropped: str) -> Trial:
        """The record of this candidate as far as it came."""
        judged = np.concatenate([split.test for split in self._ground.splits])
        logits = np.concatenate(
            [
                tuning.logits(self._ground.pixels[split.test])
                for split, tuning in zip(self._ground.splits, self._tunings, strict=True)
            ]
        )
        order = np.argsort(judged)
        rows = judged[order]
        return Trial(
            kind="fine_tuning",
            backbones=(self.backbone,),
            parameters={"body_rate": self.recipe.body_rate, "frozen_share": self.recipe.frozen_share},
            activation=self._ground.activation,
            logits=logits[order][None],
            judged=rows,
            truth=self._ground.truth[rows],
            seconds=seconds,
            milliseconds=1000 * self._image_cost,
            dropped=dropped,
        )

    @property
    def curves(self) -> list[list[Epoch]]:
        """The epochs of each split."""
        return [tuning.epochs for tuning in self._tunings]

    def train_on_all(self, advance: Callable[[float], None]) -> tuple[nn.Module, Head, list[Epoch]]:
        """Trains on all images for as many epochs as were best on the splits; gives backbone, head and epochs."""
        everything = np.arange(len(self._ground.truth))
        tuning = self._begin(everything)
        until = round(float(np.mean([each.best_epoch for each in self._tunings])))
        examples = Examples(self._ground.pixels, self._ground.truth, everything)
        tuning.run(examples, until, self._checkpoint("all"), advance)
        return *tuning.result(), tuning.epochs

    @cached_property
    def _tunings(self) -> list[FineTuning]:
        return [self._begin(split.learn) for split in self._ground.splits]

    def _begin(self, learn: Rows) -> FineTuning:
        return FineTuning(self._load(), self._fit_head(learn), self.recipe, self._ground.seed, self._ground.threads)

    def _examples(self, split: Fold) -> Examples:
        return Examples(self._ground.pixels, self._ground.truth, split.learn, split.test)

    def _checkpoint(self, part: str) -> Path:
        return self._ground.checkpoints / f"{self.backbone}-{self.recipe.body_rate:g}-{part}.pt"
