"""Features of a training's images: those that came with the snapshot or were kept, and the rest computed."""

from collections.abc import Callable, Sequence

import numpy as np

from sightsmith_training.engine.catalogue import Backbone
from sightsmith_training.engine.classification.truth import Rows
from sightsmith_training.engine.embeddings import BackboneCache, FeatureCheckpoints, embed
from sightsmith_training.engine.heads import Features
from sightsmith_training.engine.job import Job
from sightsmith_training.engine.samples import Pixels, Samples
from sightsmith_training.engine.stored_embeddings import StoredEmbeddings

_IMAGES_AT_ONCE = 512


class ClassifierFeatures:
    """Finds or computes features, by the name of their backbone."""

    def __init__(self, job: Job, cache: BackboneCache, backbones: Sequence[Backbone]) -> None:
        """Takes the training, the exported backbones, and those whose features are wanted."""
        self._job = job
        self._cache = cache
        self._backbones = backbones
        self._stored: dict[str, StoredEmbeddings | None] = {}

    def known(self, samples: Samples) -> dict[str, Features] | None:
        """Features of all images, those to test with too, shape [entries, features]; None unless all are stored."""
        known: dict[str, Features] = {}
        for backbone in self._backbones:
            known[backbone.name], unknown = self._find(backbone, samples, len(samples.entries))
            if len(unknown):
                return None
        return known

    def forget_stored(self) -> None:
        """From now on everything is computed."""
        self._stored = dict.fromkeys(backbone.name for backbone in self._backbones)

    def of_training_images(
        self, samples: Samples, pixels: Pixels, advance: Callable[[float], None]
    ) -> dict[str, Features]:
        """Features of the training images, of shape [training, features].

        Args:
            samples: the images.
            pixels: of the training images, shape [training, side, side, 3].
            advance: called with the share of the work that is done.
        """
        checkpoints = FeatureCheckpoints(
            self._job.store, self._job.spec.checkpoint_prefix, samples.training_digest, len(pixels)
        )
        features: dict[str, Features] = {}
        for number, backbone in enumerate(self._backbones):
            found = checkpoints.load(backbone)
            if found is None:
                found = self._complete(backbone, samples, pixels, _part_of(advance, number, len(self._backbones)))
                checkpoints.save(backbone, found)
            features[backbone.name] = found
            advance((number + 1) / len(self._backbones))
        return features

    def _complete(
        self, backbone: Backbone, samples: Samples, pixels: Pixels, advance: Callable[[float], None]
    ) -> Features:
        """Features that came with the snapshot, and the rest computed."""
        features, unknown = self._find(backbone, samples, len(pixels))
        if len(unknown) == 0:
            return features
        model = self._cache.get(backbone)
        # Piece by piece, because the pixels of chosen images are copied into memory.
        pieces = np.array_split(unknown, range(_IMAGES_AT_ONCE, len(unknown), _IMAGES_AT_ONCE))
        for number, piece in enumerate(pieces):
            report = _part_of(advance, number, len(pieces))
            features[piece] = embed(model, pixels[piece], self._job.threads, report)
        return features

    def _find(self, backbone: Backbone, samples: Samples, images: int) -> tuple[Features, Rows]:
        """What is stored of the first images, and the positions of those of which nothing is."""
        features = np.empty((images, backbone.features), np.float32)
        if backbone.name not in self._stored:
            self._stored[backbone.name] = self._fetch(backbone)
        stored = self._stored[backbone.name]
        if stored is None:
            return features, np.arange(images)
        return features, stored.find([entry.sha256 for entry in samples.entries[:images]], into=features)

    def _fetch(self, backbone: Backbone) -> StoredEmbeddings | None:
        files = [file for file in self._job.spec.embedding_files if file.backbone == backbone.content_name]
        if not files:
            return None
        return StoredEmbeddings.fetch(self._job.store, files[0], backbone.features, self._job.folder)


def _part_of(advance: Callable[[float], None], number: int, parts: int) -> Callable[[float], None]:
    return lambda share: advance((number + share) / parts)
