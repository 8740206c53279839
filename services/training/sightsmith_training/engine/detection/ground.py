"""What all trainings of a search share, and how one of them runs from its start or its last checkpoint to its end."""

import copy
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from sightsmith_training.engine.classification.truth import Rows
from sightsmith_training.engine.detection.design import Design
from sightsmith_training.engine.detection.detecting import detect, network_finder
from sightsmith_training.engine.detection.detector import Detector
from sightsmith_training.engine.detection.judgement import Size
from sightsmith_training.engine.detection.labelled_objects import LabelledObjects
from sightsmith_training.engine.detection.labelling import Labelling, Shares
from sightsmith_training.engine.detection.mosaics import Mosaics
from sightsmith_training.engine.detection.network import NanoDet, load_pretrained
from sightsmith_training.engine.detection.pace import learning_cost, step_cost
from sightsmith_training.engine.detection.resizing import resize_squares
from sightsmith_training.engine.detection.scenes import Scenes
from sightsmith_training.engine.detection.tuning import Clock, Tuner
from sightsmith_training.engine.distribution.places import find_place
from sightsmith_training.engine.judging.answers import Detections
from sightsmith_training.engine.progress import Note, no_note
from sightsmith_training.engine.samples import Pixels
from sightsmith_training.engine.specification import DeviceWish, Effort, Preference

_STEPS_TOLD = 20  # Between two points of the curve.
_STEPS_MEASURED = 3
_IMAGES_AT_ONCE = 16
_SECONDS_BETWEEN_CHECKPOINTS = 30.0


@dataclass(frozen=True)
class DetectorInput:
    """What is searched on: the usable training images, in one order.

    Attributes:
        squares: the images squashed to squares, shape [images, side, side, 3], the side a multiple of 32 and the
            largest that may be wanted; may be mapped from a file.
        labellings: of each image; images without boxes are background.
        labels: how many there are.
        sizes: of each image.
        groups: shape [images]; near duplicates have one number. None: there are none.
        judged: positions of the images to judge by; None: they are to be chosen.
    """

    squares: Pixels
    labellings: Sequence[Labelling]
    labels: int
    sizes: Sequence[Size]
    groups: npt.NDArray[np.intp] | None = None
    judged: Rows | None = None


def _ignore(file: Path) -> None:
    pass


@dataclass(frozen=True)
class DetectorWish:
    """How it is searched.

    Attributes:
        effort: how much is tried.
        preference: what decides between speed and accuracy.
        seed: decides everything random.
        threads: cores to use.
        folder: in which trainings keep how far they are.
        save: called with each file of the folder after it was written, to keep it elsewhere too.
        restore: called with a file of the folder before it is looked for, to bring it back from there.
        pretrained: the COCO weights, see `load_pretrained`; None: the network begins from nothing.
        device: on what networks learn.
        note: called with what is trained, its step and its loss.
    """

    effort: Effort
    preference: Preference
    seed: int
    threads: int
    folder: Path
    pretrained: Path | None
    device: DeviceWish = "auto"
    save: Callable[[Path], None] = _ignore
    restore: Callable[[Path], None] = _ignore
    note: Note = no_note


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        network: with averaged weights.
        losses: mean loss of the steps up to each step that is named.
        clock: where the time went, in this process.
        step_seconds: mean wall time of the steps that were trained in this process, each divided by what it costs, see
            `step_cost`; None if there were none.
    """

    network: NanoDet
    losses: dict[int, float]
    clock: Clock
    step_seconds: float | None


class Ground:
    """Trains and tries detectors of one search."""

    def __init__(self, given: DetectorInput, wish: DetectorWish) -> None:
        self.given = given
        self.wish = wish
        self._place = find_place(wish.device)

    def start(self) -> NanoDet:
        """The network before it learns."""
        torch.manual_seed(self.wish.seed)
        if self.wish.pretrained is None:
            return NanoDet(self.given.labels)
        return load_pretrained(self.wish.pretrained, self.given.labels)

    def step_seconds(self, design: Design) -> float:
        """Measures a step that costs 1, see `step_cost`."""
        rows = np.arange(len(self.given.labellings))
        tuner = self._tuner(design, 2 * _STEPS_MEASURED, rows)
        tuner.train(1)
        before = tuner.clock.total
        tuner.train(_STEPS_MEASURED)
        return (tuner.clock.total - before) / _STEPS_MEASURED / learning_cost(design.frozen)

    def _tuner(
        self,
        design: Design,
        steps: int,
        rows: Rows,
        decoys: Sequence[Shares] | None = None,
        begin_with: NanoDet | None = None,
    ) -> Tuner:
        """Prepares a training on some of the images."""
        given = self.given
        objects = LabelledObjects(given.squares, given.labellings, rows) if design.paste else None
        shown = (given.squares, given.labellings, design.variety, self.wish.seed)
        scenes = Mosaics(*shown, rows, decoys, objects) if design.mosaic else Scenes(*shown, decoys, objects)
        network = self.start() if begin_with is None else copy.deepcopy(begin_with)
        tuner = Tuner(network, scenes, design.recipe(steps), self.wish.threads, self._place)
        draws = np.zeros(len(scenes), dtype=np.intp)
        draws[rows] = 1
        if decoys is not None:
            draws[[row for row in rows.tolist() if len(decoys[row])]] = 2
        tuner.draws = draws
        return tuner

    def train(
        self,
        name: str,
        design: Design,
        steps: int,
        rows: Rows,
        advance: Callable[[float], None],
        decoys: Sequence[Shares] | None = None,
        begin_with: NanoDet | None = None,
    ) -> Trained:
        """Trains to the end, from the last checkpoint of this name if there is one.

        Args:
            name: of the checkpoint; one that is used for one training only.
            design: of the detector.
            steps: to train.
            rows: images to learn from.
            advance: called with the share that is done.
            decoys: see `Scenes`.
            begin_with: a network that learned before; None for the pretrained one.
        """
        tuner = self._tuner(design, steps, rows, decoys, begin_with)
        file = self.wish.folder / f"{name}.pt"
        self.wish.restore(file)
        tuner.load(file)
        steps_before = tuner.steps_done
        started = saved = time.monotonic()
        while tuner.steps_done < steps:
            tuner.train(_STEPS_TOLD)
            figures = {"step": tuner.steps_done, "loss": tuner.losses[tuner.steps_done]}
            self.wish.note(f"{design.name}: step {tuner.steps_done} of {steps}", figures)
            advance(tuner.steps_done / steps)
            if tuner.steps_done >= steps or time.monotonic() - saved >= _SECONDS_BETWEEN_CHECKPOINTS:
                tuner.save(file)
                self.wish.save(file)
                saved = time.monotonic()
        cost = step_cost(design.recipe(steps)) * (steps - steps_before)
        step_seconds = (time.monotonic() - started) / cost if cost else None
        return Trained(tuner.averaged, tuner.losses, tuner.clock, step_seconds)

    def detect(self, network: NanoDet, design: Design, rows: Rows) -> list[Detections]:
        """Runs a network over some of the images, parts of them beside each other."""
        detector = Detector(copy.deepcopy(network), design.side, enlargement=design.enlargement).to(self._place.device)
        find = network_finder(detector)

        def detect_part(part: Rows) -> list[Detections]:
            squares = resize_squares(self.given.squares, part, design.side)
            return detect(find, squares, [self.given.sizes[row] for row in part.tolist()])

        with ThreadPoolExecutor(self.wish.threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            parts = np.array_split(rows, max(1, round(len(rows) / _IMAGES_AT_ONCE)))
            return [found for part in pool.map(detect_part, parts) for found in part]
