"""What a detector of brands learns from: scenes that are composed once, of pictures of objects and of backgrounds."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from sightsmith_training.engine.brand_samples import require_pictures
from sightsmith_training.engine.classification.truth import Rows
from sightsmith_training.engine.detection.composing import Logos, compose_scene
from sightsmith_training.engine.detection.design import suitable_side
from sightsmith_training.engine.detection.ground import DetectorInput
from sightsmith_training.engine.detection.labelling import Labelling
from sightsmith_training.engine.detection_samples import DetectionSamples
from sightsmith_training.engine.job import Job, budget_seconds
from sightsmith_training.engine.reading import ReadImages, UnusableImage, new_pixels
from sightsmith_training.engine.samples import Pixels
from sightsmith_training.engine.specification import SpecEntry

_LARGEST_SIDE = 640
_PICTURE_SIDE = 256  # Pixels; few logos are larger on a scene.
_SCENES_A_SECOND = 2.0  # Of the budget: a scene is seen several times, each time another part of it.
_SCENES_OF_LABEL = 8
_LEAST_SCENES, _MOST_SCENES = 200, 2400  # The most fill 1.2 GB at 416 pixels.
_JUDGED = 6  # One scene in so many is not learned from in a trial, and shows pictures that the others do not.
_ENOUGH_PICTURES = 4  # Of a label, to keep some for the scenes that judge.
_ENOUGH_BACKGROUNDS = 12
_SECONDS = 0.04  # For a scene, on one ordinary core.
_READING = 0.2  # Share of the time that reading takes; the rest is composing.


@dataclass(frozen=True)
class BrandMaterial:
    """What came of the images of a snapshot.

    Attributes:
        samples: less what could not be read.
        given: the scenes to learn from.
        unusable: what could not be read.
    """

    samples: DetectionSamples
    given: DetectorInput
    unusable: list[UnusableImage]


@dataclass(frozen=True)
class _Material:
    """What some of the scenes are composed of."""

    logos: Logos
    backgrounds: Sequence[Pixels]


def scene_count(job: Job, labels: int) -> int:
    """How many scenes are composed; it follows from the wishes alone, so that a job that goes on makes the same."""
    wanted = max(_SCENES_A_SECOND * budget_seconds(job.spec.options, "detection"), _SCENES_OF_LABEL * labels)
    return round(min(_MOST_SCENES, max(_LEAST_SCENES, wanted)))


def composing_seconds(job: Job, labels: int) -> float:
    """Seconds that composing is expected to take on ordinary cores."""
    return _SECONDS * scene_count(job, labels) / job.threads


def compose_brand_scenes(job: Job, wanted: DetectionSamples, advance: Callable[[float], None]) -> BrandMaterial:
    """Reads the images and composes scenes.

    Every sixth scene is for judging. Where a label has enough pictures, and where there are enough backgrounds, these
    scenes show some that the others do not show.

    Args:
        job: whose images they are.
        wanted: see `select_brand_samples`.
        advance: called with the share that is done.

    Raises:
        TrainingError: if too many images cannot be read, or what is left is too little.
    """
    side = suitable_side([], _LARGEST_SIDE, job.spec.options.preference)
    pictures, others = _read(job, wanted, side, lambda share: advance(_READING * share))
    unusable = [*pictures.unusable, *others.unusable]
    samples = wanted.without([image.entry for image in unusable])
    require_pictures(samples)
    backgrounds = others.pixels[: sum(entry.split == "train" for entry in others.entries)]
    materials = _divide(_logos(pictures, samples.labels), backgrounds, job.spec.seed)
    squares, labellings = _compose(
        job,
        materials,
        scene_count(job, len(samples.labels)),
        side,
        lambda share: advance(_READING + (1 - _READING) * share),
    )
    given = DetectorInput(
        squares=squares,
        labellings=labellings,
        labels=len(samples.labels),
        sizes=[(side, side)] * len(labellings),
        judged=np.arange(0, len(labellings), _JUDGED),
    )
    return BrandMaterial(samples, given, unusable)


def _compose(
    job: Job, materials: tuple[_Material, _Material], count: int, side: int, advance: Callable[[float], None]
) -> tuple[Pixels, list[Labelling]]:
    """Composes scenes into a file that is mapped into memory; each depends on the seed and its number alone."""
    learned, judged = materials
    file = job.folder / "scenes.npy"
    squares = new_pixels(file, (count, side, side, 3))

    def compose(number: int) -> Labelling:
        material = learned if number % _JUDGED else judged
        random = np.random.default_rng([job.spec.seed, number])
        squares[number], labelling = compose_scene(material.logos, material.backgrounds, side, random)
        return labelling

    labellings: list[Labelling] = []
    with ThreadPoolExecutor(job.threads) as pool:
        for labelling in pool.map(compose, range(count)):
            labellings.append(labelling)
            advance(len(labellings) / count)
    return squares, labellings


def _read(
    job: Job, wanted: DetectionSamples, side: int, advance: Callable[[float], None]
) -> tuple[ReadImages, ReadImages]:
    """Pictures of objects, which are kept small and with their opacity; and all other images."""
    pictures = [entry for entry in wanted.entries if _is_picture(entry)]
    others = [entry for entry in wanted.entries if not _is_picture(entry)]
    return (
        job.read(pictures, _PICTURE_SIDE, lambda share: advance(0.5 * share), "pictures", with_opacity=True),
        job.read(others, side, lambda share: advance(0.5 + 0.5 * share)),
    )


def _is_picture(entry: SpecEntry) -> bool:
    return entry.split == "train" and bool(entry.boxes)


def _logos(pictures: ReadImages, labels: Sequence[str]) -> Logos:
    return Logos(
        pictures=list(pictures.pixels),
        proportions=[entry.width / entry.height for entry in pictures.entries],
        labels=[labels.index(entry.boxes[0].label) for entry in pictures.entries],
    )


def _divide(logos: Logos, backgrounds: Pixels, seed: int) -> tuple[_Material, _Material]:
    """What scenes to learn from are composed of, and what those that judge are composed of."""
    random = np.random.default_rng(seed)
    labels = np.asarray(logos.labels)
    parts = [
        _hold_out(np.flatnonzero(labels == label), _ENOUGH_PICTURES, random) for label in range(int(labels.max()) + 1)
    ]
    scenery = _hold_out(np.arange(len(backgrounds)), _ENOUGH_BACKGROUNDS, random)

    def material(side: int) -> _Material:
        chosen = np.concatenate([part[side] for part in parts])
        return _Material(_some(logos, chosen), [backgrounds[row] for row in scenery[side].tolist()])

    return material(0), material(1)


def _hold_out(rows: Rows, enough: int, random: np.random.Generator) -> tuple[Rows, Rows]:
    """Divides rows into those to learn from and those to judge by; where there are too few, all serve for both."""
    if len(rows) < enough:
        return rows, rows
    shuffled = random.permutation(rows)
    held_out = max(1, len(rows) // _JUDGED)
    return shuffled[held_out:], shuffled[:held_out]


def _some(logos: Logos, rows: Rows) -> Logos:
    return Logos(
        pictures=[logos.pictures[row] for row in rows.tolist()],
        proportions=[logos.proportions[row] for row in rows.tolist()],
        labels=[logos.labels[row] for row in rows.tolist()],
    )
