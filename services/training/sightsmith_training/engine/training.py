"""A training from its specification to its result."""

import os
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import torch
from obstore.store import ObjectStore, from_url

from sightsmith_training.engine.backbones import load_backbone
from sightsmith_training.engine.batches import Outputs, run_in_batches
from sightsmith_training.engine.catalogue import CATALOGUE, IMAGE_SIDE, Backbone
from sightsmith_training.engine.contract import EvaluatedOn, ExportedFile, Phase, Progress, TrainingResult, TrainingSpec
from sightsmith_training.engine.embeddings import BackboneCache, FeatureCheckpoints, embed
from sightsmith_training.engine.evaluation import describe_predictions, evaluate
from sightsmith_training.engine.exports import compose_classifier, trace_classifier, write_export
from sightsmith_training.engine.heads import Features, Head
from sightsmith_training.engine.network import Classifier, PixelBackbone, score_with_network
from sightsmith_training.engine.parity import check_exports
from sightsmith_training.engine.progress import ProgressMeter
from sightsmith_training.engine.samples import Pixels, Samples, read_pixels, select_samples
from sightsmith_training.engine.search import Trial, choose, fit_chosen, search
from sightsmith_training.engine.stored_embeddings import StoredEmbeddings

_VERSIONED = ("numpy", "onnx", "onnxruntime", "pillow", "scikit-learn", "timm", "torch")
_IMAGES_AT_ONCE = 512
_BACKBONES = {backbone.name: backbone for backbone in CATALOGUE}


def train(spec: TrainingSpec, send: Callable[[Progress], None]) -> TrainingResult:
    """Carries out a training: read, embed, search, fit, evaluate, export, check.

    Args:
        spec: what to train.
        send: called with each progress message.

    Raises:
        TrainingError: for a reason that the owner of the images can understand.
    """
    samples = select_samples(spec)
    threads = spec.threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(1)  # `run_in_batches` uses the cores.
    spec.output_dir.mkdir(parents=True, exist_ok=True)
    meter = ProgressMeter(_expected_costs(samples, threads), send)
    with TemporaryDirectory(prefix=".pixels-", dir=spec.output_dir) as folder:
        return _Training(spec, samples, threads, meter).run(Path(folder, "pixels.npy"))


def _expected_costs(samples: Samples, threads: int) -> dict[Phase, float]:
    """Seconds of each phase on an ordinary core, for the progress."""
    embedding = sum(backbone.cost for backbone in CATALOGUE) / threads
    images, judged = len(samples.entries), samples.judged.stop - samples.judged.start
    return {
        "reading": 0.2 + 0.004 * images / threads,
        "embedding": 2.0 * len(CATALOGUE) + embedding * images,
        "searching": 1.0 + 0.02 * samples.training,
        "fitting": 0.1 + 0.001 * samples.training,
        "evaluating": 1.0 + 2 * embedding * judged,
        "exporting": 4.0,
        "checking": 2.0 + 3 * embedding * judged,
    }


class _Training:
    def __init__(self, spec: TrainingSpec, samples: Samples, threads: int, meter: ProgressMeter) -> None:
        self._spec = spec
        self._samples = samples
        self._targets = samples.targets[: samples.training]
        self._threads = threads
        self._meter = meter
        self._store: ObjectStore = from_url(spec.object_store_url)
        self._cache = BackboneCache(self._store, spec.backbone_prefix)

    def run(self, pixels_file: Path) -> TrainingResult:
        samples = self._samples
        pixels = self._read(pixels_file)
        features = self._embed(pixels)
        trials = self._search(features)
        chosen = choose(trials, {name: backbone.cost for name, backbone in _BACKBONES.items()})
        network, head = self._fit(features, chosen)
        judged = pixels[samples.judged]
        network_scores = self._score(network, judged)
        artifacts = self._export(network, head, chosen)
        self._meter.enter("checking")
        parity = check_exports(
            network_scores,
            judged,
            self._spec.output_dir,
            self._spec.parity_tolerance,
            self._threads,
            self._meter.advance,
        )
        evaluated_on, evaluated, scores = self._evaluated(chosen, network_scores)
        result = TrainingResult(
            task="classification",
            labels=samples.labels,
            image_side=IMAGE_SIDE,
            chosen=chosen.candidate,
            candidates=[trial.candidate for trial in trials],
            seed=self._spec.seed,
            training_images=samples.training,
            test_images=samples.test,
            ignored_images=samples.ignored,
            library_versions={name: version(name) for name in _VERSIONED},
            artifacts=artifacts,
            parity=parity,
            evaluation=evaluate(samples.labels, samples.targets[evaluated], scores, evaluated_on),
            predictions=describe_predictions(samples.labels, samples.entries[evaluated], scores),
            phase_seconds={},
        )
        self._meter.finish()
        return result.model_copy(update={"phase_seconds": self._meter.seconds})

    def _read(self, file: Path) -> Pixels:
        self._meter.enter("reading")
        return read_pixels(
            self._store,
            self._samples.entries,
            IMAGE_SIDE,
            self._spec.image_limits,
            file,
            self._threads,
            self._meter.advance,
        )

    def _embed(self, pixels: Pixels) -> dict[str, Features]:
        """Features of the training images by backbone."""
        self._meter.enter("embedding")
        # Test images are judged by the whole network; their features would be of no use.
        training = pixels[: self._samples.training]
        checkpoints = FeatureCheckpoints(
            self._store, self._spec.checkpoint_prefix, self._samples.training_digest, len(training)
        )
        features: dict[str, Features] = {}
        for number, backbone in enumerate(CATALOGUE):
            found = checkpoints.load(backbone)
            if found is None:
                report = _report_part(self._meter, number, len(CATALOGUE))
                found = self._features(backbone, training, report)
                checkpoints.save(backbone, found)
            features[backbone.name] = found
            self._meter.advance((number + 1) / len(CATALOGUE))
        return features

    def _features(self, backbone: Backbone, pixels: Pixels, report: Callable[[float], None]) -> Features:
        """Features of the training images: those that came with the snapshot, and the rest computed."""
        files = [file for file in self._spec.embedding_files if file.backbone == backbone.content_name]
        if not files:
            return embed(self._cache.get(backbone), pixels, self._threads, report)
        features = np.empty((len(pixels), backbone.features), np.float32)
        with TemporaryDirectory(prefix=".embeddings-", dir=self._spec.output_dir) as folder:
            stored = StoredEmbeddings.fetch(self._store, files[0], backbone.features, Path(folder))
            sha256s = [entry.sha256 for entry in self._samples.entries[: len(pixels)]]
            unknown = stored.find(sha256s, into=features)
        # Piece by piece, because the pixels of chosen images are copied into memory.
        for start in range(0, len(unknown), _IMAGES_AT_ONCE):
            piece = unknown[start : start + _IMAGES_AT_ONCE]
            features[piece] = embed(self._cache.get(backbone), pixels[piece], self._threads, lambda _: None)
            report((start + len(piece)) / len(unknown))
        return features

    def _search(self, features: dict[str, Features]) -> list[Trial]:
        self._meter.enter("searching")
        return search(features, self._targets, self._spec.seed, self._threads, self._meter.advance)

    def _fit(self, features: dict[str, Features], chosen: Trial) -> tuple[Classifier, Head]:
        self._meter.enter("fitting")
        head = fit_chosen(features, self._targets, chosen.candidate)
        backbones = [PixelBackbone(load_backbone(_BACKBONES[name])) for name in chosen.candidate.backbones]
        return Classifier(backbones, head), head

    def _score(self, network: Classifier, pixels: Pixels) -> Outputs:
        self._meter.enter("evaluating")
        scorer = partial(score_with_network, network)
        return run_in_batches(scorer, pixels, self._threads, self._meter.advance)

    def _export(self, network: Classifier, head: Head, chosen: Trial) -> list[ExportedFile]:
        self._meter.enter("exporting")
        names, labels, folder = chosen.candidate.backbones, self._samples.labels, self._spec.output_dir
        onnx_model = compose_classifier([(name, self._cache.get(_BACKBONES[name])) for name in names], head, labels)
        return [
            write_export(folder, "onnx", onnx_model),
            write_export(folder, "torchscript", trace_classifier(network, labels)),
        ]

    def _evaluated(self, chosen: Trial, network_scores: Outputs) -> tuple[EvaluatedOn, slice, npt.NDArray[np.floating]]:
        """What the evaluation rests on, the images it covers, and their scores."""
        if self._samples.test:
            return "test", self._samples.judged, network_scores
        return "cross_validation", slice(0, self._samples.training), chosen.predictions


def _report_part(meter: ProgressMeter, number: int, parts: int) -> Callable[[float], None]:
    return lambda share: meter.advance((number + share) / parts)
