"""Training a detector: read, search, fit, evaluate, export, check."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sightsmith_training.engine.brand_samples import select_brand_samples
from sightsmith_training.engine.brand_scenes import compose_brand_scenes
from sightsmith_training.engine.catalogue import NANODET
from sightsmith_training.engine.checkpoint_files import CheckpointFiles
from sightsmith_training.engine.classification.halving import Budget
from sightsmith_training.engine.contract import (
    ExportedFile,
    Parity,
    Progress,
    TrainingResult,
    Violation,
)
from sightsmith_training.engine.detection.design import (
    Design,
    affordable_side,
    enlarged,
    larger_side,
    suitable_side,
    tiny_boxes,
)
from sightsmith_training.engine.detection.detecting import Finder, detect, network_finder
from sightsmith_training.engine.detection.detector import Detector
from sightsmith_training.engine.detection.detector_export import export_detector, trace_detector
from sightsmith_training.engine.detection.ground import DetectorInput, DetectorWish
from sightsmith_training.engine.detection.held_out import LEAST_WITH_BOXES
from sightsmith_training.engine.detection.search import FoundDetector, search_detector
from sightsmith_training.engine.detection_samples import DetectionSamples, select_detection_samples
from sightsmith_training.engine.detector_candidates import chosen_candidate, tried_candidates
from sightsmith_training.engine.detector_costs import compared_images, expected_costs, seconds_after_search
from sightsmith_training.engine.detector_evaluation import describe_detections, evaluate_detector, match_samples
from sightsmith_training.engine.detector_parity import check_detector_exports
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.exports import write_export
from sightsmith_training.engine.job import Job, library_versions
from sightsmith_training.engine.judging.advice import TrainingFacts
from sightsmith_training.engine.judging.answers import Detections
from sightsmith_training.engine.judging.learning_curve import fit_learning_curve
from sightsmith_training.engine.near_duplicates import find_near_duplicates
from sightsmith_training.engine.progress import ProgressMeter, part_of
from sightsmith_training.engine.reading import ReadImages, UnusableImage, too_many_unusable
from sightsmith_training.engine.samples import Pixels
from sightsmith_training.engine.specification import SpecEntry, TrainingSpec
from sightsmith_training.engine.stored_detections import as_stored
from sightsmith_training.engine.variants.exporting import (
    MOST_COMPARED_IMAGES,
    ExportedVariants,
    export_variants,
)
from sightsmith_training.engine.variants.judges import detector_judge
from sightsmith_training.engine.variants.variant import VariantSettings
from sightsmith_training.weights.errors import WeightsError
from sightsmith_training.weights.fetching import ensure_weights
from sightsmith_training.weights.settings import WeightsSettings

_EXPORTS_CHECKED = 0.3  # The share of the phase "checking" after which variants are made, if they are.
_AT_ONCE = 8  # Images that one core judges before it takes others.


def train_detector(job: Job, send: Callable[[Progress], None]) -> TrainingResult:
    """Trains a detector.

    Args:
        job: whose task is detection.
        send: called with each progress message.

    Raises:
        TrainingError: for a reason that the owner of the images can understand.
    """
    samples = _select(job)
    before = time.monotonic()
    weights = _pretrained_weights()
    # A download, which happens once on a machine, is nothing that the training took.
    job = replace(job, ends=job.ends + time.monotonic() - before)
    largest = _largest_design(samples, job)
    meter = ProgressMeter(expected_costs(samples, largest, job), send)
    return _DetectorTraining(job, meter, weights, largest).run(samples)


def _select(job: Job) -> DetectionSamples:
    spec = job.spec
    if job.decision.composes_scenes:
        return select_brand_samples(spec.entries, spec.max_unusable_fraction)
    samples = select_detection_samples(spec.entries, spec.max_unusable_fraction)
    _require_enough(samples, spec)
    return samples


def _pretrained_weights() -> Path:
    try:
        return ensure_weights(NANODET, WeightsSettings())[0]
    except WeightsError as error:
        raise TrainingError("WEIGHTS_MISSING", str(error), weights=NANODET.name) from error


def _largest_design(samples: DetectionSamples, job: Job) -> Design:
    """The dearest design to be tried; images are decoded to squares of its side."""
    options = job.spec.options
    labellings = [samples.labelling(row) for row in range(samples.training)]
    largest = affordable_side(len(samples.entries), job.spec.detector_limits)
    design = Design(suitable_side(labellings, largest, options.preference))
    if options.effort != "best":
        return design
    return enlarged(replace(design, side=larger_side(design.side, largest)), labellings, options.preference)


@dataclass(frozen=True)
class _Judged:
    """What the detector says of the images that it is judged by.

    Attributes:
        samples: less the test images that could not be read again.
        rows: positions of the judged images among the samples.
        detections: on each of them.
        shown: positions of the images whose squares these are: all of the judged ones, or some.
        squares: as the network sees them, shape [shown, side, side, 3].
    """

    samples: DetectionSamples
    rows: Sequence[int]
    detections: list[Detections]
    shown: Sequence[int]
    squares: Pixels


class _DetectorTraining:
    def __init__(self, job: Job, meter: ProgressMeter, weights: Path, largest: Design) -> None:
        self._job = job
        self._largest = largest
        self._spec = job.spec
        self._meter = meter
        self._weights = weights
        self._limits: list[str] = []
        self._gone: list[UnusableImage] = []  # Read once, and not again.

    def run(self, wanted: DetectionSamples) -> TrainingResult:
        samples, given, unusable = self._read(wanted)
        found = self._search(samples, given)
        detector = Detector(found.network, found.side, found.line, found.enlargement)
        find = network_finder(detector)
        judged = self._judge(find, samples, found)
        samples, rows = judged.samples, judged.rows
        artifacts = self._export(detector, samples.labels)
        parity = self._check(find, judged.squares[: compared_images(found.seen_side)])
        variants = self._export_variants(judged, found.side)
        detections = as_stored(judged.detections)
        matches = match_samples(samples, rows, detections, found.thresholds)
        points = found.learning
        facts = TrainingFacts(
            samples.images_by_label(),
            found.judgement.map_50 if found.judgement else None,
            fit_learning_curve([point.images for point in points], [point.score for point in points]),
            composed=self._job.decision.composes_scenes,
            all_images=samples.training,
            limits=[*found.notes, *self._limits, *self._job.limits],
            budget_exceeded=self._job.budget_exceeded,
            tiny=tiny_boxes(given.labellings, given.labels, found.side, found.enlargement),
        )
        evaluation = evaluate_detector(matches, "test" if samples.test else "cross_validation", facts)
        chosen = chosen_candidate(found)
        result = TrainingResult(
            task="detection",
            task_reason=self._job.decision.reason,
            left_out_labels=self._job.left_out_labels,
            labels=samples.labels,
            thresholds=found.thresholds.tolist(),
            image_side=found.side,
            chosen=chosen,
            candidates=tried_candidates(found, chosen),
            seed=self._spec.seed,
            training_images=samples.training,
            test_images=samples.test,
            ignored_images=samples.ignored,
            unusable_images=[
                *samples.flawed,
                *_violations([*unusable, *self._gone]),
            ],
            library_versions=library_versions(),
            artifacts=[*artifacts, *variants.files],
            parity=parity,
            variants=list(variants.variants),
            recommendations=list(variants.recommendations),
            evaluation=evaluation.model_copy(update={"learning_curve": points}),
            predictions=describe_detections(matches, samples, rows, detections),
            phase_seconds={},
        )
        self._meter.finish()
        return result.model_copy(update={"phase_seconds": self._meter.seconds})

    def _read(self, wanted: DetectionSamples) -> tuple[DetectionSamples, DetectorInput, list[UnusableImage]]:
        """Reads the training images as large as they may be wanted, and leaves out what cannot be used."""
        self._meter.enter("reading")
        if self._job.decision.composes_scenes:
            material = compose_brand_scenes(self._job, wanted, self._meter.advance)
            return material.samples, material.given, material.unusable
        read = self._job.read(wanted.entries, self._largest.side, self._meter.advance)
        samples = wanted
        if read.unusable:
            samples = wanted.without([image.entry for image in read.unusable])
            samples = samples.relabelled(self._job.without_rare_labels(samples.entries), self._job.left_out_labels)
            _require_enough(samples, self._spec)
            if len(samples.entries) < len(read.entries):
                samples, given, unusable = self._read(samples)  # Squares and entries go side by side.
                return samples, given, [*read.unusable, *unusable]
        return samples, self._labelled(samples, read.pixels), read.unusable

    def _labelled(self, samples: DetectionSamples, squares: Pixels) -> DetectorInput:
        rows = range(samples.training)
        squares, entries = squares[: samples.training], samples.entries[: samples.training]
        labellings = [samples.labelling(row) for row in rows]
        truth = np.array([np.isin(range(len(samples.labels)), each.labels) for each in labellings])
        alike = find_near_duplicates([entry.sha256 for entry in entries], truth, pixels=squares)
        self._limits = alike.limits
        return DetectorInput(
            squares=squares,
            labellings=labellings,
            labels=len(samples.labels),
            sizes=[(entry.width, entry.height) for entry in entries],
            groups=alike.groups,
        )

    def _search(self, samples: DetectionSamples, given: DetectorInput) -> FoundDetector:
        self._meter.enter("searching")
        options = self._spec.options
        checkpoints = CheckpointFiles(self._job.store, self._spec.checkpoint_prefix, samples.training_digest)
        wish = DetectorWish(
            effort=options.effort,
            preference=options.preference,
            seed=self._spec.seed,
            threads=self._job.threads,
            folder=self._job.folder,
            pretrained=self._weights,
            device=self._spec.device,
            save=checkpoints.save,
            restore=checkpoints.restore,
            note=self._meter.note,
        )
        kept_back = seconds_after_search(samples, self._largest, self._job)
        budget = Budget(self._job.seconds_left - max(1.0, self._meter.pace) * kept_back)
        return search_detector(given, wish, budget, self._tell)

    def _tell(self, activity: str, share: float, best_score: float | None) -> None:
        if activity == "fitting" and self._meter.phase != "fitting":
            self._meter.enter("fitting")
        self._meter.advance(share, best_score)

    def _judge(self, find: Finder, samples: DetectionSamples, found: FoundDetector) -> _Judged:
        self._meter.enter("evaluating")
        if not samples.test:
            judged = found.judgement
            assert judged is not None  # noqa: S101 - see `_require_enough`
            rows = judged.rows.tolist()
            some = {samples.entries[row].image: row for row in rows[: compared_images(found.seen_side)]}
            again = self._read_again([samples.entries[row] for row in some.values()], found.side)
            shown = [some[entry.image] for entry in again.entries]
            return _Judged(samples, rows, judged.detections, shown, again.pixels)
        # Read anew, at the very size at which the model will be given images.
        again = self._read_again(samples.entries[samples.training :], found.side)
        samples = samples.without([image.entry for image in again.unusable])
        sizes = [(entry.width, entry.height) for entry in again.entries]
        test = range(samples.training, len(samples.entries))
        return _Judged(samples, test, self._detect(find, again.pixels, sizes), test, again.pixels)

    def _read_again(self, entries: Sequence[SpecEntry], side: int, name: str = "judged") -> ReadImages:
        """All of them were read before; those that somebody deleted or altered meanwhile are left out and named."""
        read = self._job.read(entries, side, lambda share: None, name)
        if not read.entries:
            raise too_many_unusable(read.unusable, len(entries), self._spec.max_unusable_fraction)
        self._gone += read.unusable
        return read

    def _detect(self, find: Finder, squares: Pixels, sizes: Sequence[tuple[int, int]]) -> list[Detections]:
        starts = range(0, len(squares), _AT_ONCE)

        def detect_some(start: int) -> list[Detections]:
            stop = start + _AT_ONCE
            return detect(find, squares[start:stop], sizes[start:stop])

        found: list[Detections] = []
        with ThreadPoolExecutor(self._job.threads) as pool:
            for some in pool.map(detect_some, starts):
                found += some
                self._meter.advance(len(found) / len(squares))
        return found

    def _export(self, detector: Detector, labels: list[str]) -> list[ExportedFile]:
        self._meter.enter("exporting")
        folder = self._spec.output_dir
        return [
            write_export(folder, "onnx", export_detector(detector, labels)),
            write_export(folder, "torchscript", trace_detector(detector, labels)),
        ]

    def _check(self, find: Finder, squares: Pixels) -> Parity:
        self._meter.enter("checking")
        advance = part_of(self._meter.advance, 0.0, _EXPORTS_CHECKED if self._spec.options.tries_variants else 1.0)
        return check_detector_exports(find, squares, self._job, advance)

    def _export_variants(self, judged: _Judged, side: int) -> ExportedVariants:
        if not self._spec.options.tries_variants:
            return ExportedVariants()
        samples = judged.samples
        learned = samples.entries[: min(samples.training, VariantSettings.calibration_images)]
        calibration = self._read_again(learned, side, "calibration").pixels
        compared = judged.squares[:MOST_COMPARED_IMAGES]
        judge = detector_judge(samples, judged.shown[: len(compared)])
        advance = part_of(self._meter.advance, _EXPORTS_CHECKED, 1.0)
        return export_variants(self._job, calibration, compared, judge, advance)


def _violations(images: Sequence[UnusableImage]) -> list[Violation]:
    """Each image once, also where it was missed twice."""
    problems = {image.entry.image: image.problem for image in images}
    return [Violation(field=name, description=problem) for name, problem in problems.items()]


def _require_enough(samples: DetectionSamples, spec: TrainingSpec) -> None:
    """Checks that every label can be learned, and that there will be images to judge the detector by."""
    samples.require_enough(spec.min_images_per_label)
    with_boxes = sum(bool(entry.boxes) for entry in samples.entries[: samples.training])
    if samples.test or with_boxes >= LEAST_WITH_BOXES:
        return
    raise TrainingError(
        "NOT_ENOUGH_DATA",
        f"there are no test images, and of {with_boxes} training images with boxes none can be held out to judge by: "
        "give test images, or more training images",
        [Violation(field="snapshot", description="has no test images and too few training images with boxes")],
        training_images_with_boxes=with_boxes,
        min_training_images_with_boxes=LEAST_WITH_BOXES,
    )
