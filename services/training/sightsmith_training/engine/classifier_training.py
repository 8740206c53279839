"""Training a classifier: read, embed, search, fit, evaluate, export, check."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from sightsmith_training.engine.backbones import load_backbone
from sightsmith_training.engine.batches import Outputs, run_in_batches
from sightsmith_training.engine.catalogue import CATALOGUE, IMAGE_SIDE, Backbone
from sightsmith_training.engine.classification.candidates import Trial
from sightsmith_training.engine.classification.halving import Budget
from sightsmith_training.engine.classification.search import Found, SearchInput, SearchWish, search
from sightsmith_training.engine.classifier_evaluation import Judged, choose_thresholds, describe_predictions, evaluate
from sightsmith_training.engine.contract import (
    Candidate,
    ExportedFile,
    Phase,
    Progress,
    TrainingResult,
    Violation,
)
from sightsmith_training.engine.embeddings import BackboneCache, FeatureCheckpoints, embed
from sightsmith_training.engine.exports import compose_classifier, export_backbone, trace_classifier, write_export
from sightsmith_training.engine.heads import Features
from sightsmith_training.engine.job import Job, budget_seconds, library_versions
from sightsmith_training.engine.judging.advice import TrainingFacts
from sightsmith_training.engine.network import Classifier, PixelBackbone, score_with_network
from sightsmith_training.engine.parity import check_exports
from sightsmith_training.engine.progress import ProgressMeter
from sightsmith_training.engine.reading import UnusableImage
from sightsmith_training.engine.samples import Pixels, Samples, select_samples
from sightsmith_training.engine.stored_embeddings import StoredEmbeddings

_IMAGES_AT_ONCE = 512
_BACKBONES = {backbone.name: backbone for backbone in CATALOGUE}
# Where seconds count: the share of them that features may take, on one core.
_EMBEDDING_SHARE = 0.5
# Of the seconds that a training may take, those that come after the search.
_KEPT_BACK_SECONDS = 12.0


def train_classifier(job: Job, send: Callable[[Progress], None]) -> TrainingResult:
    """Trains a classifier of one label an image, or of several.

    Args:
        job: whose task is one of the two kinds of classification.
        send: called with each progress message.

    Raises:
        TrainingError: for a reason that the owner of the images can understand.
    """
    spec = job.spec
    samples = select_samples(spec.entries, job.decision.task, spec.min_images_per_label)
    return _ClassifierTraining(job, ProgressMeter(_expected_costs(samples, job.threads), send)).run(samples)


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


class _ClassifierTraining:
    def __init__(self, job: Job, meter: ProgressMeter) -> None:
        self._job = job
        self._spec = job.spec
        self._meter = meter
        self._cache = BackboneCache(job.store, job.spec.backbone_prefix)

    def run(self, wanted: Samples) -> TrainingResult:
        samples, pixels, unusable = self._read(wanted)
        found = self._search(samples, pixels, self._embed(samples, pixels))
        network = self._network(found)
        judged_pixels = pixels[samples.judged]
        network_scores = self._score(network, judged_pixels)
        artifacts = self._export(network, found, samples.labels)
        self._meter.enter("checking")
        parity = check_exports(
            network_scores,
            judged_pixels,
            self._spec.output_dir,
            self._spec.parity_tolerance,
            self._job.threads,
            self._meter.advance,
        )
        out_of_fold = Judged(samples, found.judged.tolist(), found.scores)
        test = Judged(samples, range(samples.training, len(samples.entries)), network_scores)
        thresholds = choose_thresholds(out_of_fold)
        matches = (test if samples.test else out_of_fold).matches(thresholds)
        facts = TrainingFacts(samples.truth[: samples.training].sum(axis=0).tolist(), found.chosen.mean)
        result = TrainingResult(
            task=self._job.decision.task,
            task_reason=self._job.decision.reason,
            labels=samples.labels,
            thresholds=thresholds.tolist(),
            image_side=IMAGE_SIDE,
            chosen=_candidate(found.chosen),
            candidates=[_candidate(trial) for trial in found.trials],
            seed=self._spec.seed,
            training_images=samples.training,
            test_images=samples.test,
            ignored_images=samples.ignored,
            unusable_images=[Violation(field=image.entry.image, description=image.problem) for image in unusable],
            library_versions=library_versions(),
            artifacts=artifacts,
            parity=parity,
            evaluation=evaluate(matches, "test" if samples.test else "cross_validation", facts),
            predictions=describe_predictions(matches),
            phase_seconds={},
        )
        self._meter.finish()
        return result.model_copy(update={"phase_seconds": self._meter.seconds})

    def _read(self, wanted: Samples) -> tuple[Samples, Pixels, list[UnusableImage]]:
        """Reads what is wanted, and leaves out what cannot be used, if enough is left."""
        self._meter.enter("reading")
        read = self._job.read(wanted.entries, IMAGE_SIDE, self._meter.advance)
        if not read.unusable:
            return wanted, read.pixels, []
        left = select_samples(read.entries, self._job.decision.task, self._spec.min_images_per_label)
        return left, read.pixels, read.unusable

    def _embed(self, samples: Samples, pixels: Pixels) -> dict[str, Features]:
        """Features of the training images by backbone."""
        self._meter.enter("embedding")
        # Test images are judged by the whole network; their features would be of no use.
        training = pixels[: samples.training]
        checkpoints = FeatureCheckpoints(
            self._job.store, self._spec.checkpoint_prefix, samples.training_digest, len(training)
        )
        backbones = self._backbones(len(training))
        features: dict[str, Features] = {}
        for number, backbone in enumerate(backbones):
            found = checkpoints.load(backbone)
            if found is None:
                report = _report_part(self._meter, number, len(backbones))
                found = self._features(backbone, samples, training, report)
                checkpoints.save(backbone, found)
            features[backbone.name] = found
            self._meter.advance((number + 1) / len(backbones))
        return features

    def _backbones(self, images: int) -> list[Backbone]:
        """Those to try: where seconds count, those whose features came with the snapshot or are quickly computed.

        Decided by what they are known to cost, not by the clock, so that it is the same on every machine.
        """
        if self._spec.options.effort != "fast":
            return list(CATALOGUE)
        known = {file.backbone for file in self._spec.embedding_files}
        left = _EMBEDDING_SHARE * budget_seconds(self._spec.options)
        chosen: list[Backbone] = []
        for backbone in CATALOGUE:
            left -= 0.0 if backbone.content_name in known else backbone.cost * images
            if left >= 0 or not chosen:
                chosen.append(backbone)
        return chosen

    def _features(
        self, backbone: Backbone, samples: Samples, pixels: Pixels, report: Callable[[float], None]
    ) -> Features:
        """Features of the training images: those that came with the snapshot, and the rest computed."""
        files = [file for file in self._spec.embedding_files if file.backbone == backbone.content_name]
        if not files:
            return embed(self._cache.get(backbone), pixels, self._job.threads, report)
        features = np.empty((len(pixels), backbone.features), np.float32)
        with TemporaryDirectory(prefix="embeddings-", dir=self._job.folder) as folder:
            stored = StoredEmbeddings.fetch(self._job.store, files[0], backbone.features, Path(folder))
            sha256s = [entry.sha256 for entry in samples.entries[: len(pixels)]]
            unknown = stored.find(sha256s, into=features)
        # Piece by piece, because the pixels of chosen images are copied into memory.
        for start in range(0, len(unknown), _IMAGES_AT_ONCE):
            piece = unknown[start : start + _IMAGES_AT_ONCE]
            features[piece] = embed(self._cache.get(backbone), pixels[piece], self._job.threads, lambda _: None)
            report((start + len(piece)) / len(unknown))
        return features

    def _search(self, samples: Samples, pixels: Pixels, features: dict[str, Features]) -> Found:
        self._meter.enter("searching")
        options = self._spec.options
        given = SearchInput(
            features=features,
            costs={name: _BACKBONES[name].cost for name in features},
            pixels=pixels[: samples.training],
            truth=samples.truth[: samples.training],
            activation=samples.activation,
        )
        wish = SearchWish(
            effort=options.effort,
            preference=options.preference,
            seed=self._spec.seed,
            threads=self._job.threads,
            checkpoints=self._job.folder,
            load=lambda name: load_backbone(_BACKBONES[name]),
        )
        return search(given, wish, Budget(self._job.seconds_left - _KEPT_BACK_SECONDS), self._tell)

    def _tell(self, activity: str, share: float, best_score: float | None) -> None:
        if activity == "fitting" and self._meter.phase != "fitting":
            self._meter.enter("fitting")
        self._meter.advance(share, best_score)

    def _network(self, found: Found) -> Classifier:
        backbones = [
            PixelBackbone(tuned if tuned is not None else load_backbone(_BACKBONES[name]))
            for name, tuned in found.backbones
        ]
        return Classifier(backbones, found.head)

    def _score(self, network: Classifier, pixels: Pixels) -> Outputs:
        self._meter.enter("evaluating")
        scorer = partial(score_with_network, network)
        return run_in_batches(scorer, pixels, self._job.threads, self._meter.advance)

    def _export(self, network: Classifier, found: Found, labels: list[str]) -> list[ExportedFile]:
        self._meter.enter("exporting")
        graphs = [
            (name, self._cache.get(_BACKBONES[name]) if tuned is None else export_backbone(PixelBackbone(tuned).eval()))
            for name, tuned in found.backbones
        ]
        folder = self._spec.output_dir
        return [
            write_export(folder, "onnx", compose_classifier(graphs, found.head, labels)),
            write_export(folder, "torchscript", trace_classifier(network, labels)),
        ]


def _candidate(trial: Trial) -> Candidate:
    parameters = dict(trial.parameters)
    return Candidate(
        backbones=list(trial.backbones),
        strength=parameters.pop("strength", 0.0),
        scores=trial.scores,
        score_mean=trial.mean,
        score_std=trial.deviation,
        log_loss=trial.log_loss,
        name=trial.name,
        fine_tuned=trial.kind != "probe",
        parameters=parameters,
        seconds=trial.seconds,
        milliseconds_per_image=trial.milliseconds,
        dropped=trial.dropped,
    )


def _report_part(meter: ProgressMeter, number: int, parts: int) -> Callable[[float], None]:
    return lambda share: meter.advance((number + share) / parts)
