"""What goes into the engine and what comes out of it: one JSON file in, JSON Lines out.

The worker imports this module too, so it needs neither torch nor gRPC.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from sightsmith.images import ImageLimits

Split = Literal["train", "test"]
Task = Literal["classification", "multi_label_classification", "detection"]
"""What a model does: one label an image, any number of labels an image, or labels with boxes."""

TaskWish = Literal["auto", "classification", "multi_label_classification", "detection"]
Effort = Literal["fast", "balanced", "best"]
"""How much is tried: frozen networks only; fine-tuning for minutes; fine-tuning for as long as it helps."""

DeviceWish = Literal["auto", "cpu"]
"""Every GPU that can be seen, or none of them."""

Preference = Literal["balanced", "speed", "accuracy"]
"""What decides between candidates that are about equally good."""

Phase = Literal["reading", "embedding", "searching", "fitting", "evaluating", "exporting", "checking", "publishing"]
"""The steps of a job in their order. The worker adds the last one, `publishing`; the engine never reports it."""

FailureReason = Literal[
    "NOT_ENOUGH_DATA",
    "TOO_MANY_UNUSABLE_IMAGES",
    "EXPORT_MISMATCH",
    "OUT_OF_MEMORY",
    "DISK_FULL",
    "WEIGHTS_MISSING",
    "DEPENDENCY_UNAVAILABLE",
    "TRAINING_FAILED",
]
"""Why a training failed. After DEPENDENCY_UNAVAILABLE it is tried again; WEIGHTS_MISSING is for an administrator."""

FullFormat = Literal["onnx", "torchscript"]
"""Exports that say what the trained network says."""

VariantFormat = Literal["onnx_fp16", "onnx_int8"]
"""ONNX models in sixteen-bit floating point or eight-bit integers, which may lose a little."""

ExportFormat = Literal[FullFormat, VariantFormat]

VariantWish = Literal["auto", "none", "all"]
"""Which variants to try: those that are worth their time, which a `fast` training has not; none; all."""

RecommendedRuntime = Literal["onnxruntime-cpu", "onnxruntime-cuda", "tensorrt", "pytorch"]
"""What may run an export."""

EvaluatedOn = Literal["test", "cross_validation", "unseen"]
Share = Annotated[float, Field(ge=0, le=1)]

MAX_UNUSABLE_FRACTION = 0.2
"""Share of the images that may be missing, altered or unreadable, where nothing else is said."""

INPUT_NAME = "INPUT__0"
"""The input of every exported graph: uint8 RGB pixels of shape [batch, side, side, 3]."""

OUTPUT_NAME = "OUTPUT__0"
"""The output of every exported graph: float32 of shape [batch, labels]; probabilities that sum to 1."""

EXPORT_PATHS: dict[FullFormat, str] = {
    "onnx": "onnx/1/model.onnx",
    "torchscript": "torchscript/1/model.pt",
}
VARIANT_PATHS: dict[VariantFormat, str] = {
    "onnx_fp16": "onnx_fp16/1/model.onnx",
    "onnx_int8": "onnx_int8/1/model.onnx",
}
"""Where the artifacts lie under `output_dir`: each a Triton model folder that only lacks its `config.pbtxt`."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SpecBox(_Frozen):
    """A labelled box, in pixels of the upright image from its top left corner; fractions are kept."""

    label: str
    left: float = Field(ge=0)
    top: float = Field(ge=0)
    width: float
    height: float


class DetectedBox(SpecBox):
    """A box that a detector gave, and how sure it is of it."""

    confidence: Share


class SpecEntry(_Frozen):
    """One image of the snapshot.

    Attributes:
        image: resource name of the image.
        sha256: hexadecimal digest of the encoded bytes, checked when they are read.
        key: where the bytes lie in the object store.
        split: which part of the snapshot the image belongs to.
        labels: of the whole image.
        source: where the image came from; passed through to the predictions.
        boxes: of the objects on it.
        width: of the upright image in pixels; 0 in snapshots of old.
        height: of the upright image in pixels; 0 in snapshots of old.
    """

    image: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    key: str = Field(min_length=1)
    split: Split
    labels: list[str] = []
    source: str = ""
    boxes: list[SpecBox] = []
    width: int = Field(default=0, ge=0)
    height: int = Field(default=0, ge=0)


class TrainingOptions(_Frozen):
    """What the user may wish for; everything is decided without it.

    Attributes:
        task: what the model is to do.
        effort: how much is tried.
        budget_seconds: time for the whole training, in place of what the effort stands for.
        preference: what decides between candidates that are about equally good.
        variants: which variants of the ONNX model are tried.
        max_variant_loss: how much lower than the model's the macro-F1 of a variant may be, or a detector's mean average
            precision (IoU 0.50 … 0.95).
        output_prefix: where the worker is to write result files, too; empty for nowhere.
    """

    task: TaskWish = "auto"
    effort: Effort = "balanced"
    budget_seconds: float | None = Field(default=None, gt=0)
    preference: Preference = "balanced"
    variants: VariantWish = "auto"
    max_variant_loss: Share = 0.01
    output_prefix: str = ""

    @property
    def tries_variants(self) -> bool:
        """Whether variants of the ONNX model are to be tried."""
        return self.variants == "all" or (self.variants == "auto" and self.effort != "fast")


class DetectorLimits(_Frozen):
    """How much a detector may take to find very small objects.

    Attributes:
        largest_side: of its square input, in pixels.
        decoded_bytes: disk space for decoded images; where it is scarce, images that are larger than usual are not.
    """

    largest_side: int = Field(default=1280, ge=320)
    decoded_bytes: int = Field(default=16 * 1024**3, ge=0)


class EmbeddingFile(_Frozen):
    """Embeddings that came with the snapshot: a `.npy` file of records, see `stored_embeddings.py`.

    Attributes:
        backbone: content name of the backbone that made them.
        key: of the file in the object store.
        sha256: hexadecimal digest of the file.
    """

    backbone: str
    key: str = Field(min_length=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class TrainingSpec(_Frozen):
    """Everything the engine needs to know. The same specification and seed give the same model.

    Attributes:
        entries: the images of the snapshot.
        object_store_url: `file:///…` or `s3://…`; credentials for S3 come from the environment.
        checkpoint_prefix: key prefix of this job's intermediate results, from which a killed job goes on.
        backbone_prefix: key prefix under which exported frozen backbones are kept for all jobs.
        output_dir: folder on this machine that receives the artifacts.
        seed: decides everything random.
        options: what the user wishes for.
        parity_tolerance: largest allowed difference of a score between the trained network and an export.
        threads: cores to use; 0 means all of them.
        device: on what networks are tuned.
        ray_address: of the Ray cluster on which they are, as `ray.init` takes it; empty for none.
        min_images_per_label: training images that each label needs.
        image_limits: what an image may be at most; the service has already checked this when it was uploaded.
        max_unusable_fraction: share of the images that may be missing, altered or unreadable.
        detector_limits: how much a detector may take.
        embedding_files: features that need not be computed again, at most one file a backbone.
    """

    kind: Literal["training"] = "training"
    entries: list[SpecEntry]
    object_store_url: str
    checkpoint_prefix: str
    backbone_prefix: str
    output_dir: Path
    seed: int = Field(ge=0, lt=2**32)
    parity_tolerance: float = Field(default=1e-4, ge=0)
    threads: int = Field(default=0, ge=0)
    device: DeviceWish = "auto"
    ray_address: str = ""
    min_images_per_label: int = Field(default=3, ge=2)
    image_limits: ImageLimits = ImageLimits()
    max_unusable_fraction: float = Field(default=MAX_UNUSABLE_FRACTION, ge=0, le=1)
    detector_limits: DetectorLimits = DetectorLimits()
    embedding_files: list[EmbeddingFile] = []
    options: TrainingOptions = TrainingOptions()


class AnsweringSpec(_Frozen):
    """Which images a finished model is to answer.

    Attributes:
        entries: the images; of a detector with the boxes, of a classifier with the labels that are there.
        object_store_url: as of a training.
        model_key: of the exported ONNX file in the object store.
        model_sha256: hexadecimal digest of the file.
        task: what the model does.
        labels: in the order of its outputs.
        image_side: width and height in pixels of the square that it takes.
        threads: cores to use; 0 means half of them, because trainings run beside.
        image_limits: as of a training.
        max_unusable_fraction: as of a training.
    """

    kind: Literal["answering"] = "answering"
    entries: list[SpecEntry]
    object_store_url: str
    model_key: str
    model_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    task: Task
    labels: list[str]
    image_side: int = Field(ge=1)
    threads: int = Field(default=0, ge=0)
    image_limits: ImageLimits = ImageLimits()
    max_unusable_fraction: float = Field(default=MAX_UNUSABLE_FRACTION, ge=0, le=1)


EngineSpec = TrainingSpec | AnsweringSpec

SPEC: TypeAdapter[EngineSpec] = TypeAdapter(Annotated[EngineSpec, Field(discriminator="kind")])
"""Reads a specification; the places of its problems begin with its kind."""


class Candidate(_Frozen):
    """One design that was tried on the training images.

    Attributes:
        backbones: names of the networks whose features are joined.
        strength: inverse regularisation of the linear head (scikit-learn's `C`); 0 where the network is fine-tuned.
        scores: of a classifier, the macro-F1 of the out-of-fold predictions, one for each repetition of the
            cross-validation; of a detector, the mean average precision (IoU 0.50 … 0.95) on held-out images.
        score_mean: mean of `scores`.
        score_std: standard deviation of `scores`.
        log_loss: mean negative log likelihood of what is true, out of fold, in nats; 0 for a detector.
        name: for people, such as `efficientnet-lite1, C=3`.
        fine_tuned: whether the network itself was trained, and not only the layer over it.
        parameters: everything else that was chosen, by name.
        seconds: that trying it took.
        milliseconds_per_image: on an ordinary core; 0 if it was not told.
        dropped: why it was not chosen, in plain words; empty for the chosen one.
        network_share: share of the time of the last training's steps that was spent in the network, and not on reading
            and altering images; None where the network was not trained, and for those that were not chosen.
        licences: SPDX identifiers of the licences of pretrained weights, by backbone; empty in results of old.
    """

    backbones: list[str]
    strength: float
    scores: list[Share]
    score_mean: Share
    score_std: float
    log_loss: float
    name: str = ""
    fine_tuned: bool = False
    parameters: dict[str, float] = {}
    seconds: float = 0.0
    milliseconds_per_image: float = 0.0
    dropped: str = ""
    network_share: Share | None = None
    licences: dict[str, str] = {}


class ExportedFile(_Frozen):
    """One exported file.

    Attributes:
        path: relative to `output_dir`.
        format: of the file.
        sha256: hexadecimal digest of its bytes.
        size_bytes: its size.
    """

    path: str
    format: ExportFormat
    sha256: str
    size_bytes: int


class ModelVariant(_Frozen):
    """What came of trying an ONNX model with fewer bits.

    Attributes:
        format: of its numbers.
        kept: whether it loses little enough; only then is there a file.
        reason: why it is kept or not, in plain words.
        recipe: how it was made, in plain words; empty if it could not be made.
        full_figure: macro-F1 of the full model on the compared images, or a detector's mean average precision (IoU
            0.50 … 0.95); None if it could not be computed.
        figure: the same of the variant; None if it could not be made or its answers are not numbers.
        agreement: share of the images decided alike; None for a detector, or as above.
        full_milliseconds: for an image, on one core of the training's machine, by the full model; 0 if not measured.
        milliseconds: the same by the variant, measured in turns with the full model.
        images: on how many images the two were compared: test images where there are any.
    """

    format: VariantFormat
    kept: bool
    reason: str
    recipe: str = ""
    full_figure: Share | None = None
    figure: Share | None = None
    agreement: Share | None = None
    full_milliseconds: float = 0.0
    milliseconds: float = 0.0
    images: int = 0


class Recommendation(_Frozen):
    """Which export a runtime should use, and why, in plain words."""

    runtime: RecommendedRuntime
    format: ExportFormat
    reason: str


class Parity(_Frozen):
    """How far the exports are from the trained network.

    Attributes:
        onnx: largest absolute difference of a score in the ONNX file.
        torchscript: the same in the TorchScript file.
        label_agreement: share of images whose most likely label is the same, the lower of the two.
        images: how many images were compared: a sample where trainings read no others.
        tolerance: the largest difference allowed.
    """

    onnx: float
    torchscript: float
    label_agreement: Share
    images: int
    tolerance: float


class Interval(_Frozen):
    """Between which bounds a figure would lie for 95 of 100 other sets of as many images."""

    lower: Share
    upper: Share


class LabelEvaluation(_Frozen):
    """One label's figures.

    Attributes:
        label: its name.
        precision: share of its predictions that are right; 0 where there are none.
        recall: share of its images on which it is predicted; 0 where there are none.
        f1: harmonic mean of the two.
        images: how many evaluated images truly carry it.
        threshold: the score from which on it is predicted.
        true_positives: images that carry it and on which it is predicted.
        false_positives: images that do not carry it and on which it is predicted.
        false_negatives: images that carry it and on which it is not predicted.
        average_precision: over all thresholds; None where no image carries it.
        precision_interval: of the precision.
        recall_interval: of the recall.
        f1_interval: of the F1.
        training_images: how many images that the model learned from carry it; 0 where that is not known, as in
            evaluations of old.
    """

    label: str
    precision: Share
    recall: Share
    f1: Share
    images: int
    threshold: Share = 0.0
    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0
    average_precision: Share | None = None
    precision_interval: Interval | None = None
    recall_interval: Interval | None = None
    f1_interval: Interval | None = None
    training_images: int = 0


class Advice(_Frozen):
    """One thing that would help: what kind it is, what to do, and the labels and images that it is about."""

    code: str
    text: str
    labels: list[str] = []
    images: list[str] = []


class DetectionEvaluation(_Frozen):
    """The figures of COCO's evaluation, for at most 100 detections a label and image.

    Attributes:
        iou: overlap (intersection over union) at which a detection counts as right in precision, recall and F1.
        map_50: mean over the labels of the average precision at an overlap of 0.5.
        map_50_95: the same, mean over the overlaps 0.5, 0.55 … 0.95.
        average_recall: mean over the labels and the same overlaps of the highest recall (`AR@100`).
        map_interval: of `map_50`.
    """

    iou: Share
    map_50: Share | None
    map_50_95: Share | None
    average_recall: Share | None
    map_interval: Interval | None = None


class LearningPoint(_Frozen):
    """The score out of fold of models that learned from so many images."""

    images: int
    score: Share


class Evaluation(_Frozen):
    """How well the model does.

    Attributes:
        evaluated_on: `test`, or `cross_validation` (out-of-fold predictions of the training images, averaged over the
            repetitions) where the snapshot has no test images, or `unseen` images of any snapshot, which the model did
            not learn from.
        accuracy: share of images for which exactly their labels are the most likely ones.
        macro_precision: mean over the labels that have images here.
        macro_recall: mean over the same labels.
        macro_f1: mean over the same labels.
        per_label: in the order of `TrainingResult.labels`.
        confusion_matrix: counts; row = true label, column = predicted label, the last of each standing for none. Empty
            where images may carry several labels.
        images: how many were evaluated; 0 in evaluations of old.
        mean_average_precision: mean over the same labels as above.
        accuracy_interval: of the accuracy.
        macro_f1_interval: of the macro-F1.
        calibration_error: how far confidences are from the share that is right, 0 to 1.
        advice: what would help, the most important first.
        detection: what only detectors have; None for classifiers.
        learning_curve: scores of models that learned from parts of the training images, few images first.
        cross_validated: the headline figure on training images that the model did not learn from, before it was judged
            by these; None if it is not known.
    """

    evaluated_on: EvaluatedOn
    accuracy: Share
    macro_precision: Share
    macro_recall: Share
    macro_f1: Share
    per_label: list[LabelEvaluation]
    confusion_matrix: list[list[int]]
    images: int = 0
    mean_average_precision: Share | None = None
    accuracy_interval: Interval | None = None
    macro_f1_interval: Interval | None = None
    calibration_error: float | None = None
    advice: list[Advice] = []
    detection: DetectionEvaluation | None = None
    learning_curve: list[LearningPoint] = []
    cross_validated: Share | None = None


class ImagePrediction(_Frozen):
    """What the model says of one evaluated image.

    Attributes:
        image: resource name of the image.
        source: where it came from.
        true_labels: what it carries, in the order of the names; the model may not know all of it.
        predicted_labels: what it was given, the surest first.
        confidence: of the surest label; 0 where a detector finds nothing.
        scores: in the order of `TrainingResult.labels`; empty for detectors.
        width: of the upright image in pixels; 0 if it is not known.
        height: likewise.
        true_boxes: what is labelled on it; empty for classifiers.
        detections: every box the detector gives with a confidence that people may ask for, the surest first; those
            below their threshold too, so that thresholds can be changed later.
    """

    image: str
    source: str
    true_labels: list[str]
    predicted_labels: list[str]
    confidence: Share
    scores: list[float]
    width: int = 0
    height: int = 0
    true_boxes: list[SpecBox] = []
    detections: list[DetectedBox] = []

    @property
    def is_right(self) -> bool:
        """Whether it was given exactly what it carries."""
        return set(self.true_labels) == set(self.predicted_labels)


class Violation(_Frozen):
    """One thing to put right. `field` is an image, a label (`labels['NAME']`) or a field of the specification."""

    field: str
    description: str


class TrainingResult(_Frozen):
    """A finished training; the last message of one that succeeded.

    Attributes:
        task: what the model does.
        labels: sorted; the order of every list of scores and of the output of the artifacts.
        thresholds: from which score on each label holds; empty where the best label is the answer.
        image_side: width and height in pixels of the square that the artifacts take.
        chosen: the best candidate.
        candidates: all that were tried, in the order of trial.
        seed: from the specification.
        training_images: images the model was trained on.
        test_images: images of the test split.
        ignored_images: images of no use, of either split.
        unusable_images: images that could not be read, with the reason.
        task_reason: why this task, in plain words.
        library_versions: versions that shaped the result, by distribution name.
        artifacts: the exported files.
        parity: how the exports compare with the trained network.
        variants: what came of each variant that was tried; those that were kept are among the `artifacts`.
        recommendations: which of the exports each runtime should use; empty if no variants were tried.
        evaluation: figures over `predictions`.
        predictions: of the test images by the trained network (or by its last layer, from embeddings that came with the
            snapshot), or out of fold: see `Evaluation.evaluated_on`.
        phase_seconds: wall time by phase; `starting` is the loading of libraries.
    """

    kind: Literal["result"] = "result"
    task: Task
    labels: list[str]
    thresholds: list[Share] = []
    image_side: int
    chosen: Candidate
    candidates: list[Candidate]
    seed: int
    training_images: int
    test_images: int
    ignored_images: int
    unusable_images: list[Violation] = []
    task_reason: str = ""
    library_versions: dict[str, str]
    artifacts: list[ExportedFile]
    parity: Parity
    variants: list[ModelVariant] = []
    recommendations: list[Recommendation] = []
    evaluation: Evaluation
    predictions: list[ImagePrediction]
    phase_seconds: dict[str, float]


class Answers(_Frozen):
    """What a finished model says of images; the last message where that was all that was asked for.

    Attributes:
        predictions: of the usable images, in their order; without `predicted_labels`, which depend on thresholds.
        unusable_images: images that could not be read, with the reason.
    """

    kind: Literal["answers"] = "answers"
    predictions: list[ImagePrediction]
    unusable_images: list[Violation] = []


class Progress(_Frozen):
    """Where the job stands.

    Attributes:
        phase: what is done.
        percent: of the whole job; it never falls.
        remaining_seconds: to its end; None while that cannot be told.
        best_score: the best candidate's.
        activity: what exactly is done, for people; may be empty.
        metrics: figures of the candidate at hand, by name.
    """

    kind: Literal["progress"] = "progress"
    phase: Phase
    percent: float = Field(ge=0, le=100)
    remaining_seconds: float | None = None
    best_score: float | None = None
    activity: str = ""
    metrics: dict[str, float] = {}


class Failure(_Frozen):
    """The last message of a training, or an answering, that failed."""

    kind: Literal["failure"] = "failure"
    reason: FailureReason
    message: str
    metadata: dict[str, str] = {}
    violations: list[Violation] = []


Message = Progress | Failure | TrainingResult | Answers

MESSAGE: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="kind")])
"""Reads one line of the engine's standard output."""
