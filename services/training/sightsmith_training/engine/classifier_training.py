"""Training a classifier: read, embed, search, fit, evaluate, export, check."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from sightsmith_training.engine.backbone_choice import backbones_to_try
from sightsmith_training.engine.backbones import load_backbone
from sightsmith_training.engine.batches import Outputs, run_in_batches
from sightsmith_training.engine.catalogue import IMAGE_SIDE, Backbone
from sightsmith_training.engine.checkpoint_files import CheckpointFiles
from sightsmith_training.engine.classification.halving import Budget
from sightsmith_training.engine.classification.probes import join_features
from sightsmith_training.engine.classification.search import Found, search, tuning_seconds
from sightsmith_training.engine.classification.search_input import SearchInput, SearchWish
from sightsmith_training.engine.classifier_candidates import candidate_of, untried_candidate
from sightsmith_training.engine.classifier_evaluation import (
    Judged,
    Scores,
    choose_thresholds,
    describe_predictions,
    evaluate,
)
from sightsmith_training.engine.classifier_features import ClassifierFeatures
from sightsmith_training.engine.contract import (
    ExportedFile,
    Parity,
    Phase,
    Progress,
    TrainingResult,
    Violation,
)
from sightsmith_training.engine.distribution.ray_trials import open_trials
from sightsmith_training.engine.distribution.trials import InProcessTrials
from sightsmith_training.engine.embeddings import BackboneCache, embed
from sightsmith_training.engine.exports import compose_classifier, export_backbone, trace_classifier, write_export
from sightsmith_training.engine.heads import Features
from sightsmith_training.engine.job import Job, budget_seconds, library_versions
from sightsmith_training.engine.judging.advice import TrainingFacts
from sightsmith_training.engine.judging.learning_curve import fit_learning_curve
from sightsmith_training.engine.near_duplicates import find_near_duplicates
from sightsmith_training.engine.network import Classifier, PixelBackbone, score_with_network
from sightsmith_training.engine.other_sizes import OtherSize
from sightsmith_training.engine.parity import are_equal, compare_exports, require_equal
from sightsmith_training.engine.progress import ProgressMeter, part_of
from sightsmith_training.engine.reading import UnusableImage, read_images
from sightsmith_training.engine.samples import Pixels, Samples, select_samples
from sightsmith_training.engine.specification import SpecEntry
from sightsmith_training.engine.variants.exporting import (
    MOST_COMPARED_IMAGES,
    ExportedVariants,
    expected_variant_seconds,
    export_variants,
)
from sightsmith_training.engine.variants.judges import classifier_judge
from sightsmith_training.weights.files import fetched_extras
from sightsmith_training.weights.settings import WeightsSettings

# Of the seconds that a training may take, those that come after the search: with every image at hand, and without.
_KEPT_BACK_SECONDS, _KEPT_BACK_WITHOUT_IMAGES = 12.0, 3.0
# Where scores come from stored features: on how many images they are compared with those of the exports.
_COMPARED_IMAGES = 16
# The share of the phase "checking" after which variants are made, if they are.
_EXPORTS_CHECKED = 0.3
# The share of the phase "searching" that goes by while near duplicates are looked for, about.
_NEAR_DUPLICATES_FOUND = 0.01

_log = logging.getLogger(__name__)


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
    cache = BackboneCache(job.store, spec.backbone_prefix)
    stored = {file.backbone for file in spec.embedding_files}
    seconds = budget_seconds(spec.options, job.decision.task)
    backbones = backbones_to_try(spec.options, seconds, stored, samples.training, fetched_extras(WeightsSettings()))
    features = ClassifierFeatures(job, cache, backbones)
    # Whoever has time to tune networks or to make variants needs the images themselves.
    reads_images = spec.options.effort != "fast" or spec.options.tries_variants
    known = None if reads_images else features.known(samples)
    expected = partial(_expected_costs, job, samples, backbones)
    meter = ProgressMeter(expected(reads_images=known is None), send)
    training = _ClassifierTraining(job, meter, cache, features, backbones)
    result = None if known is None else training.from_features(samples, known)
    if result is None and known is not None:
        meter.plan_anew(expected(reads_images=True))
    return result or training.from_images(samples)


def _expected_costs(
    job: Job, samples: Samples, backbones: Sequence[Backbone], *, reads_images: bool
) -> dict[Phase, float]:
    """Seconds of each phase on an ordinary core, for the progress."""
    threads = job.threads
    embedding = sum(backbone.cost for backbone in backbones) / threads if reads_images else 0.0
    images, judged = len(samples.entries), samples.judged.stop - samples.judged.start
    costs: dict[Phase, float] = {
        "reading": 0.2 + (0.004 * images / threads if reads_images else 0.0),
        "embedding": 2.0 * len(backbones) + embedding * images if reads_images else 0.0,
        "searching": _probing_seconds(samples, reads_images=reads_images),
        "fitting": 0.1 + 0.001 * samples.training,
        "evaluating": 1.0 + 2 * embedding * judged if reads_images else 0.0,
        "exporting": 4.0 if reads_images else 1.0,
        "checking": 2.0 + 3 * embedding * judged + _variant_seconds(samples, job, backbones),
    }
    tuning = tuning_seconds(
        job.spec.options.effort, [backbone.cost for backbone in backbones], samples.training, threads
    )
    costs["searching"] += min(tuning, max(0.0, job.seconds_left - sum(costs.values())))
    return costs


def _probing_seconds(samples: Samples, *, reads_images: bool) -> float:
    return 1.0 + (0.02 if reads_images else 0.003) * samples.training


def _variant_seconds(samples: Samples, job: Job, backbones: Sequence[Backbone]) -> float:
    image_seconds = sum(backbone.cost for backbone in backbones) / len(backbones)
    return expected_variant_seconds(job, image_seconds, samples.judged.stop - samples.judged.start)


class _ClassifierTraining:
    def __init__(
        self,
        job: Job,
        meter: ProgressMeter,
        cache: BackboneCache,
        features: ClassifierFeatures,
        backbones: Sequence[Backbone],
    ) -> None:
        self._job = job
        self._spec = job.spec
        self._meter = meter
        self._cache = cache
        self._features = features
        self._backbones = {backbone.name: backbone for backbone in backbones}
        self._limits: list[str] = []
        self._other_size: OtherSize | None = None

    def from_features(self, samples: Samples, known: Mapping[str, Features]) -> TrainingResult | None:
        """Trains and judges by features that came with the snapshot; the images are needed for a sample alone.

        What computed the features may be another runtime, on another machine. So the scores that follow from them
        count only if the exported files give the same for the images of the sample.

        Args:
            samples: the images.
            known: features of all of them by backbone, shape [entries, features].

        Returns:
            None if the features cannot be relied upon.
        """
        sample = _spread(samples.judged, _COMPARED_IMAGES)
        pixels = self._read_all_of([samples.entries[row] for row in sample])
        if pixels is None:
            return None
        learned = {name: features[: samples.training] for name, features in known.items()}
        found = self._search(samples, pixels[:0], learned, _KEPT_BACK_WITHOUT_IMAGES)
        artifacts = self._export(self._network(found), found, samples.labels)
        scores = found.head.predict(join_features(known, found.chosen.backbones))
        parity = self._compare(scores[sample].astype(np.float32), pixels)
        if not are_equal(parity):
            _log.warning("stored embeddings are not what the exported model computes, and are made again")
            self._features.forget_stored()
            return None
        return self._result(samples, found, artifacts, scores[samples.training :], parity)

    def from_images(self, wanted: Samples) -> TrainingResult:
        """Trains and judges by the images themselves."""
        samples, pixels, unusable = self._read(wanted)
        if self._spec.options.effort != "fast":
            self._other_size = OtherSize(self._job, self._cache, samples, [*self._backbones.values()])
        self._meter.enter("embedding")
        # Test images are judged by the whole network; their features would be of no use.
        training = pixels[: samples.training]
        learned = self._features.of_training_images(samples, training, self._meter.advance)
        kept_back = _KEPT_BACK_SECONDS + _variant_seconds(samples, self._job, [*self._backbones.values()])
        found = self._search(samples, training, learned, kept_back)
        network = self._network(found)
        if self._other_size is not None and self._side(found) != IMAGE_SIDE:
            pixels = self._other_size.pixels
        judged = pixels[samples.judged]
        scores = self._score(network, judged)
        artifacts = self._export(network, found, samples.labels)
        parity = self._compare(scores, judged)
        require_equal(parity)
        variants = self._export_variants(samples, found, pixels)
        return self._result(samples, found, artifacts, scores, parity, unusable, variants)

    def _read(self, wanted: Samples) -> tuple[Samples, Pixels, list[UnusableImage]]:
        """Reads what is wanted, and leaves out what cannot be used, if enough is left."""
        self._meter.enter("reading")
        read = self._job.read(wanted.entries, IMAGE_SIDE, self._meter.advance)
        if not read.unusable:
            return wanted, read.pixels, []
        kept = self._job.without_rare_labels(read.entries)
        left = select_samples(kept, self._job.decision.task, self._spec.min_images_per_label)
        if len(kept) == len(read.entries):
            return left, read.pixels, read.unusable
        samples, pixels, unusable = self._read(left)  # Pixels and entries go side by side.
        return samples, pixels, [*read.unusable, *unusable]

    def _read_all_of(self, entries: Sequence[SpecEntry]) -> Pixels | None:
        """Reads a sample of the images; None if one of them cannot be used."""
        self._meter.enter("reading")
        job, limits, file = self._job, self._spec.image_limits, self._job.folder / "sample.npy"
        read = read_images(job.store, entries, IMAGE_SIDE, limits, file, job.threads, 1.0, self._meter.advance)
        return None if read.unusable else read.pixels

    def _search(
        self, samples: Samples, pixels: Pixels, features: Mapping[str, Features], kept_back_seconds: float
    ) -> Found:
        """Searches on the training images; their pixels are needed where networks are tuned."""
        self._meter.enter("searching", self._job.ends)
        pace = max(1.0, self._meter.pace)
        options = self._spec.options
        truth = samples.truth[: samples.training]
        sha256s = [entry.sha256 for entry in samples.entries[: samples.training]]
        # Quick trainings are the same whether features come with the snapshot or images are read.
        seen = pixels if options.effort != "fast" else None
        self._meter.note("which images look alike", {})
        advance = part_of(self._meter.advance, 0.0, _NEAR_DUPLICATES_FOUND)
        alike = find_near_duplicates(sha256s, truth, next(iter(features.values())), seen, advance)
        self._limits = alike.limits
        given = SearchInput(
            features=features,
            costs={name: self._backbones[name].cost for name in features},
            pixels=pixels,
            truth=truth,
            activation=samples.activation,
            groups=alike.groups,
        )
        threads, device = self._job.threads, self._spec.device
        checkpoints = CheckpointFiles(self._job.store, self._spec.checkpoint_prefix, samples.training_digest)
        with open_trials(self._spec.ray_address, threads, InProcessTrials(device)) as trials:
            wish = SearchWish(
                effort=options.effort,
                preference=options.preference,
                seed=self._spec.seed,
                threads=threads,
                checkpoints=self._job.folder,
                load=lambda name: load_backbone(self._backbones[name]),
                trials=trials,
                device=device,
                save=checkpoints.save,
                restore=checkpoints.restore,
                note=self._meter.note,
                pace=pace,
                embed=self._embed,
                other_size=self._other_size.choices if self._other_size else {},
            )
            budget = Budget(self._job.seconds_left - pace * kept_back_seconds)
            return search(given, wish, budget, partial(self._tell, samples))

    def _embed(self, name: str, pixels: Pixels) -> Features:
        return embed(self._cache.get(self._backbones[name]), pixels, self._job.threads, lambda share: None)

    @property
    def _all_backbones(self) -> dict[str, Backbone]:
        return self._backbones | (self._other_size.backbones if self._other_size else {})

    def _side(self, found: Found) -> int:
        return self._all_backbones[found.chosen.backbones[0]].side

    def _tell(self, samples: Samples, activity: str, share: float, best_score: float | None) -> None:
        if activity != "fitting":
            share = self._share_of_search(samples, activity, share)
        elif self._meter.phase != "fitting":
            self._meter.enter("fitting")
        self._meter.advance(share, best_score)

    def _share_of_search(self, samples: Samples, activity: str, share: float) -> float:
        """Where networks are tuned, probes are the first part of the search."""
        if self._spec.options.effort == "fast":
            return share
        probing = _probing_seconds(samples, reads_images=True) / self._meter.cost("searching")
        return probing * share if activity == "probing" else probing + (1 - probing) * share

    def _network(self, found: Found) -> Classifier:
        backbones = [
            PixelBackbone(tuned if tuned is not None else load_backbone(self._all_backbones[name]))
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
            (
                name,
                self._cache.get(self._all_backbones[name])
                if tuned is None
                else export_backbone(PixelBackbone(tuned).eval()),
            )
            for name, tuned in found.backbones
        ]
        folder, side = self._spec.output_dir, self._side(found)
        return [
            write_export(folder, "onnx", compose_classifier(graphs, found.head, labels, side)),
            write_export(folder, "torchscript", trace_classifier(network, labels, side)),
        ]

    def _compare(self, scores: Outputs, pixels: Pixels) -> Parity:
        self._meter.enter("checking")
        spec = self._spec
        advance = part_of(self._meter.advance, 0.0, _EXPORTS_CHECKED if spec.options.tries_variants else 1.0)
        return compare_exports(scores, pixels, spec.output_dir, spec.parity_tolerance, self._job.threads, advance)

    def _export_variants(self, samples: Samples, found: Found, pixels: Pixels) -> ExportedVariants:
        if not self._spec.options.tries_variants:
            return ExportedVariants()
        rows = range(len(samples.entries))[samples.judged][:MOST_COMPARED_IMAGES]
        judge = classifier_judge(samples, rows, _thresholds(samples, found))
        advance = part_of(self._meter.advance, _EXPORTS_CHECKED, 1.0)
        training, compared = pixels[: samples.training], pixels[rows.start : rows.stop]
        return export_variants(self._job, training, compared, judge, advance)

    def _result(
        self,
        samples: Samples,
        found: Found,
        artifacts: list[ExportedFile],
        test_scores: Scores,
        parity: Parity,
        unusable: Sequence[UnusableImage] = (),
        variants: ExportedVariants = ExportedVariants(),  # noqa: B008 - it is frozen
    ) -> TrainingResult:
        out_of_fold = Judged(samples, found.judged.tolist(), found.scores)
        test = Judged(samples, range(samples.training, len(samples.entries)), test_scores)
        thresholds = _thresholds(samples, found)
        matches = (test if samples.test else out_of_fold).matches(thresholds)
        points = found.learning
        curve = fit_learning_curve([point.images for point in points], [point.score for point in points])
        by_label = samples.truth[: samples.training].sum(axis=0).tolist()
        limits = [*self._limits, *self._job.limits]
        facts = TrainingFacts(
            by_label,
            found.chosen.mean,
            curve,
            all_images=samples.training,
            limits=limits,
            budget_exceeded=self._job.budget_exceeded,
        )
        evaluation = evaluate(matches, "test" if samples.test else "cross_validation", facts)
        backbones = self._all_backbones
        chosen = candidate_of(found.chosen, backbones)
        chosen = chosen.model_copy(update={"network_share": found.network_share})
        result = TrainingResult(
            task=self._job.decision.task,
            task_reason=self._job.decision.reason,
            left_out_labels=self._job.left_out_labels,
            labels=samples.labels,
            # Zeros would have every label hold; without thresholds the surest one is the answer.
            thresholds=thresholds.tolist() if thresholds.any() else [],
            image_side=self._side(found),
            chosen=chosen,
            candidates=[
                *(chosen if trial is found.chosen else candidate_of(trial, backbones) for trial in found.trials),
                *(untried_candidate(each, backbones) for each in found.untried),
            ],
            seed=self._spec.seed,
            training_images=samples.training,
            test_images=samples.test,
            ignored_images=samples.ignored,
            unusable_images=[Violation(field=image.entry.image, description=image.problem) for image in unusable],
            library_versions=library_versions(),
            artifacts=[*artifacts, *variants.files],
            parity=parity,
            variants=list(variants.variants),
            recommendations=list(variants.recommendations),
            evaluation=evaluation.model_copy(update={"learning_curve": found.learning}),
            predictions=describe_predictions(matches),
            phase_seconds={},
        )
        self._meter.finish()
        return result.model_copy(update={"phase_seconds": self._meter.seconds})


def _thresholds(samples: Samples, found: Found) -> Scores:
    return choose_thresholds(Judged(samples, found.judged.tolist(), found.scores))


def _spread(rows: slice, count: int) -> list[int]:
    """So many rows at even distances, the first and the last among them; all, if there are no more."""
    return sorted(set(np.linspace(rows.start, rows.stop - 1, count).round().astype(int).tolist()))
