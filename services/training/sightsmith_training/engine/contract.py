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
    "DEPENDENCY_UNAVAILABLE",
    "TRAINING_FAILED",
]
"""Why a training failed; after DEPENDENCY_UNAVAILABLE it may be tried again."""

ExportFormat = Literal["onnx", "torchscript"]
EvaluatedOn = Literal["test", "cross_validation"]
Share = Annotated[float, Field(ge=0, le=1)]

INPUT_NAME = "INPUT__0"
"""The input of every exported graph: uint8 RGB pixels of shape [batch, side, side, 3]."""

OUTPUT_NAME = "OUTPUT__0"
"""The output of every exported graph: float32 of shape [batch, labels]; probabilities that sum to 1."""

EXPORT_PATHS: dict[ExportFormat, str] = {
    "onnx": "onnx/1/model.onnx",
    "torchscript": "torchscript/1/model.pt",
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
    """

    task: TaskWish = "auto"
    effort: Effort = "balanced"
    budget_seconds: float | None = Field(default=None, gt=0)
    preference: Preference = "balanced"


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
        min_images_per_label: training images that each label needs.
        image_limits: what an image may be at most; the service has already checked this when it was uploaded.
        embedding_files: features that need not be computed again, at most one file a backbone.
    """

    entries: list[SpecEntry]
    object_store_url: str
    checkpoint_prefix: str
    backbone_prefix: str
    output_dir: Path
    seed: int = Field(ge=0, lt=2**32)
    parity_tolerance: float = Field(default=1e-4, ge=0)
    threads: int = Field(default=0, ge=0)
    min_images_per_label: int = Field(default=3, ge=2)
    image_limits: ImageLimits = ImageLimits()
    embedding_files: list[EmbeddingFile] = []
    options: TrainingOptions = TrainingOptions()


class Candidate(_Frozen):
    """One design that was tried by cross-validation on the training images.

    Attributes:
        backbones: names of the frozen networks whose features are joined.
        strength: inverse regularisation of the linear head (scikit-learn's `C`).
        scores: macro-F1 of the out-of-fold predictions, one for each repetition of the cross-validation.
        score_mean: mean of `scores`.
        score_std: standard deviation of `scores`.
        log_loss: mean negative log likelihood of the true label, out of fold, in nats.
    """

    backbones: list[str]
    strength: float
    scores: list[Share]
    score_mean: Share
    score_std: float
    log_loss: float


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


class Parity(_Frozen):
    """How far the exports are from the trained network.

    Attributes:
        onnx: largest absolute difference of a score in the ONNX file.
        torchscript: the same in the TorchScript file.
        label_agreement: share of images whose most likely label is the same, the lower of the two.
        images: how many images were compared.
        tolerance: the largest difference allowed.
    """

    onnx: float
    torchscript: float
    label_agreement: Share
    images: int
    tolerance: float


class LabelEvaluation(_Frozen):
    """One label's figures. `images` is how many evaluated images truly carry it."""

    label: str
    precision: Share
    recall: Share
    f1: Share
    images: int


class Evaluation(_Frozen):
    """How well the model does.

    Attributes:
        evaluated_on: `test`, or `cross_validation` (out-of-fold predictions of the training images, averaged over the
            repetitions) where the snapshot has no test images.
        accuracy: share of images whose most likely label is the true one.
        macro_precision: mean over the labels that have images here.
        macro_recall: mean over the same labels.
        macro_f1: mean over the same labels.
        per_label: in the order of `TrainingResult.labels`.
        confusion_matrix: counts; row = true label, column = predicted label.
    """

    evaluated_on: EvaluatedOn
    accuracy: Share
    macro_precision: Share
    macro_recall: Share
    macro_f1: Share
    per_label: list[LabelEvaluation]
    confusion_matrix: list[list[int]]


class ImagePrediction(_Frozen):
    """What the model says of one evaluated image. `scores` are in the order of `TrainingResult.labels`."""

    image: str
    source: str
    true_label: str
    predicted_label: str
    confidence: Share
    scores: list[float]


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
        ignored_images: images without a label, of either split.
        library_versions: versions that shaped the result, by distribution name.
        artifacts: the exported files.
        parity: how the exports compare with the trained network.
        evaluation: figures over `predictions`.
        predictions: of the test images by the trained network in torch, or out of fold: see
            `Evaluation.evaluated_on`.
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
    library_versions: dict[str, str]
    artifacts: list[ExportedFile]
    parity: Parity
    evaluation: Evaluation
    predictions: list[ImagePrediction]
    phase_seconds: dict[str, float]


class Progress(_Frozen):
    """Where the job stands. `percent` covers the whole job and never falls; `best_score` is a macro-F1."""

    kind: Literal["progress"] = "progress"
    phase: Phase
    percent: float = Field(ge=0, le=100)
    remaining_seconds: float | None = None
    best_score: float | None = None


class Violation(_Frozen):
    """One thing to put right. `field` is an image, a label (`labels['NAME']`) or a field of the specification."""

    field: str
    description: str


class Failure(_Frozen):
    """The last message of a training that failed."""

    kind: Literal["failure"] = "failure"
    reason: FailureReason
    message: str
    metadata: dict[str, str] = {}
    violations: list[Violation] = []


MESSAGE: TypeAdapter[Progress | Failure | TrainingResult] = TypeAdapter(
    Annotated[Progress | Failure | TrainingResult, Field(discriminator="kind")]
)
"""Reads one line of the engine's standard output."""
