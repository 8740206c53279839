"""Features of images from frozen backbones, computed with ONNX Runtime and kept as checkpoints.

Exported backbones are kept in the object store for all jobs, features for one job: a killed job goes on behind the last
backbone it finished. What is kept is never trusted: anything that does not fit is made again.
"""

import hashlib
import io
import logging
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import obstore
import onnxruntime
from obstore.store import ObjectStore

from sightsmith_training.engine.backbones import load_backbone
from sightsmith_training.engine.batches import Outputs, Scorer, run_in_batches
from sightsmith_training.engine.catalogue import Backbone
from sightsmith_training.engine.contract import INPUT_NAME, OUTPUT_NAME
from sightsmith_training.engine.exports import export_backbone
from sightsmith_training.engine.heads import Features
from sightsmith_training.engine.network import PixelBackbone
from sightsmith_training.engine.samples import Pixels

_log = logging.getLogger(__name__)


class BackboneCache:
    """Exported backbones in the object store, each beside its SHA-256."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        """Takes the store and the key prefix under which the models lie."""
        self._store = store
        self._prefix = prefix.strip("/")

    def get(self, backbone: Backbone) -> bytes:
        """The serialised ONNX model of a backbone, exported now if it is not yet kept.

        Raises:
            WeightsError: if it has to be exported and its weights are missing or wrong.
        """
        key = f"{self._prefix}/{backbone.content_name}.onnx"
        data, digest = _read(self._store, key), _read(self._store, f"{key}.sha256")
        if data is not None and digest is not None and hashlib.sha256(data).hexdigest().encode() == digest:
            return data
        _log.info("exporting backbone %s", backbone.name)
        data = export_backbone(PixelBackbone(load_backbone(backbone)).eval(), backbone.side)
        obstore.put(self._store, key, data)
        obstore.put(self._store, f"{key}.sha256", hashlib.sha256(data).hexdigest().encode())
        return data


class FeatureCheckpoints:
    """Finished features of one job, by backbone."""

    def __init__(self, store: ObjectStore, prefix: str, samples_digest: str, images: int) -> None:
        """Takes where to keep them, and which images in which order they belong to."""
        self._store = store
        self._prefix = prefix.strip("/")
        self._samples_digest = samples_digest
        self._images = images

    def load(self, backbone: Backbone) -> Features | None:
        """The features [images, features], or None if they are missing, damaged or of other images."""
        data = _read(self._store, self._key(backbone))
        if data is None:
            return None
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                features: Features = archive["features"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            _log.warning("the checkpoint of %s is damaged and is made again", backbone.name)
            return None
        fits = features.shape == (self._images, backbone.features) and features.dtype == np.float32
        return features if fits and np.isfinite(features).all() else None

    def save(self, backbone: Backbone, features: Features) -> None:
        """Keeps features. An object store shows an object only when it is whole."""
        buffer = io.BytesIO()
        np.savez(buffer, features=features)
        obstore.put(self._store, self._key(backbone), buffer.getvalue())

    def _key(self, backbone: Backbone) -> str:
        return f"{self._prefix}/features-{backbone.content_name}-{self._samples_digest[:16]}.npz"


def embed(model: bytes, pixels: Pixels, threads: int, advance: Callable[[float], None]) -> Features:
    """Computes features; the result does not depend on the number of threads.

    Args:
        model: a serialised ONNX backbone.
        pixels: shape [images, side, side, 3].
        threads: cores to use.
        advance: called with the share of the images that are done.

    Returns:
        float32 of shape [images, features].
    """
    return run_in_batches(session_scorer(model), pixels, threads, advance)


def session_scorer(model: bytes | Path) -> Scorer:
    """Opens an exported graph on the CPU, for batches that run beside each other on one core each."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    source = str(model) if isinstance(model, Path) else model
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

    def score(pixels: Pixels) -> Outputs:
        outputs: Outputs = session.run([OUTPUT_NAME], {INPUT_NAME: pixels})[0]
        return outputs

    return score


def _read(store: ObjectStore, key: str) -> bytes | None:
    try:
        return bytes(obstore.get(store, key).bytes())
    except FileNotFoundError:
        return None
