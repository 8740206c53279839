"""What a search for classifiers is given, and how it is to be done."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from sightsmith_training.engine.classification.input_sizes import SizedBackbone
from sightsmith_training.engine.classification.kept import Kept
from sightsmith_training.engine.classification.truth import Activation, Truth
from sightsmith_training.engine.distribution.trials import InProcessTrials, Trials
from sightsmith_training.engine.heads import Features
from sightsmith_training.engine.progress import Note, no_note
from sightsmith_training.engine.samples import Pixels
from sightsmith_training.engine.specification import DeviceWish, Effort, Preference


@dataclass(frozen=True)
class SearchInput:
    """What is searched on. All arrays are of the usable training images, in one order.

    Attributes:
        features: by backbone, shape [images, features].
        costs: seconds for one image on an ordinary core, by backbone.
        pixels: shape [images, side, side, 3].
        truth: shape [images, labels]; with a softmax one label an image.
        activation: behind the head.
        groups: shape [images]; near duplicates have one number. None: there are none.
    """

    features: Mapping[str, Features]
    costs: Mapping[str, float]
    pixels: Pixels
    truth: Truth
    activation: Activation
    groups: npt.NDArray[np.intp] | None = None


@dataclass(frozen=True)
class SearchWish:
    """How it is searched.

    Attributes:
        effort: whether, and on how many splits, networks are fine-tuned.
        preference: what decides between candidates that are about equally good.
        seed: decides everything random.
        threads: cores to use.
        checkpoints: folder in which the search keeps what it found out and decided, and how far fine-tunings are.
        load: gives a pretrained backbone by name.
        trials: where networks are tuned.
        device: on what.
        save: called with each file of `checkpoints` after it was written, to keep it elsewhere too.
        restore: called with a file of `checkpoints` before it is looked for, to bring it back from there.
        note: called with what is tried, and with its figures.
        pace: of the machine so far: how long things take, as a multiple of what is expected.
        embed: gives features of pixels by the name of a backbone; without it, pictures are mirrored whatever they show.
        other_size: by the name of a backbone, the same for squares of another side.
    """

    effort: Effort
    preference: Preference
    seed: int
    threads: int
    checkpoints: Path
    load: Callable[[str], nn.Module]
    trials: Trials = field(default_factory=InProcessTrials)
    device: DeviceWish = "auto"
    save: Callable[[Path], None] = lambda file: None
    restore: Callable[[Path], None] = lambda file: None
    note: Note = no_note
    pace: float = 1.0
    embed: Callable[[str, Pixels], Features] | None = None
    other_size: Mapping[str, SizedBackbone] = field(default_factory=dict)

    @cached_property
    def kept(self) -> Kept:
        """What an earlier search for the same left, and what a later one will find."""
        return Kept(self.checkpoints, self.save, self.restore)
