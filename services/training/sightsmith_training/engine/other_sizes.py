"""The training images at another size than the usual one, for backbones that take any."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from sightsmith_training.engine.catalogue import Backbone
from sightsmith_training.engine.classification.input_sizes import SizedBackbone
from sightsmith_training.engine.embeddings import BackboneCache, FeatureCheckpoints, embed
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.heads import Features
from sightsmith_training.engine.job import Job
from sightsmith_training.engine.progress import part_of
from sightsmith_training.engine.samples import Pixels, Samples
from sightsmith_training.engine.specification import SpecEntry

LARGER_SIDE, SMALLER_SIDE = 320, 160
_TINY = 120  # Half of the pictures are no longer than this: more pixels than these show nothing more.
_READING_SECONDS = 0.01  # For an image, on one core.
_BEGINNING_SECONDS = 3.0  # To export the backbone.
_READING_SHARE = 0.5  # Of the progress, about; the rest is embedding.


def other_side(entries: Sequence[SpecEntry]) -> int:
    """Side of the squares, in pixels: larger than usual, or smaller where pictures are tiny."""
    longest = [max(entry.width, entry.height) for entry in entries if entry.width]
    return SMALLER_SIDE if longest and np.median(longest) <= _TINY else LARGER_SIDE


class OtherSize:
    """Reads the images anew, when they are first asked for."""

    def __init__(self, job: Job, cache: BackboneCache, samples: Samples, backbones: Sequence[Backbone]) -> None:
        """Takes the training, the exported backbones, and images and backbones as they are used at the usual size.

        There is no other size where its squares would take too much of the disk, or for backbones that take only one.
        """
        self._job = job
        self._cache = cache
        self._samples = samples
        self._pixels: Pixels | None = None
        side = self._side = other_side(samples.entries)
        fits = 3 * side**2 * len(samples.entries) <= job.spec.detector_limits.decoded_bytes
        self._sized = {each.name: each.at(side) for each in backbones if fits and each.fixed_side is None}

    @property
    def backbones(self) -> dict[str, Backbone]:
        """At this size, by their names there."""
        return {backbone.name: backbone for backbone in self._sized.values()}

    @property
    def choices(self) -> dict[str, SizedBackbone]:
        """The same for the search, by the names of those at the usual size."""
        return {name: self._choice(backbone) for name, backbone in self._sized.items()}

    def _choice(self, backbone: Backbone) -> SizedBackbone:
        images = len(self._samples.entries)
        seconds = _BEGINNING_SECONDS + (backbone.cost + _READING_SECONDS) * images / self._job.threads
        return SizedBackbone(backbone.name, backbone.cost, seconds, partial(self._features, backbone))

    @property
    def pixels(self) -> Pixels:
        """Of all images, training images first; they were read when the features were."""
        assert self._pixels is not None  # noqa: S101 - only what was looked at is chosen
        return self._pixels

    def _features(self, backbone: Backbone, advance: Callable[[float], None]) -> Features | None:
        entries, job = self._samples.entries, self._job
        try:
            read = job.read(entries, self._side, part_of(advance, 0.0, _READING_SHARE), f"pixels-{self._side}")
        except (TrainingError, OSError):  # Images that went meanwhile, or a full disk: the usual size is there.
            return None
        if read.unusable:
            return None
        self._pixels = read.pixels
        training = read.pixels[: self._samples.training]
        digest, prefix = self._samples.training_digest, job.spec.checkpoint_prefix
        checkpoints = FeatureCheckpoints(job.store, prefix, digest, len(training))
        features = checkpoints.load(backbone)
        if features is None:
            features = embed(self._cache.get(backbone), training, job.threads, part_of(advance, _READING_SHARE, 1.0))
            checkpoints.save(backbone, features)
        return features
