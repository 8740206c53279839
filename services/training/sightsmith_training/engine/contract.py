"""What comes out of the engine, as JSON Lines; `specification.py` tells what goes in.

The worker imports this module too, so it needs neither torch nor gRPC.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter

from sightsmith_training.engine.evaluation_result import Evaluation, ImagePrediction
from sightsmith_training.engine.specification import FROZEN, Share, Task

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
RecommendedRuntime = Literal["onnxruntime-cpu", "onnxruntime-cuda", "tensorrt", "pytorch"]
"""What may run an export."""

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
    model_config = FROZEN


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


class Violation(_Frozen):
    """One thing to put right. `field` is an image, a label (`labels['NAME']`) or a field of the specification."""

    field: str
    description: str


class TrainingResult(_Frozen):
    """A finished training; see `result_file.py` for how it is told.

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
        left_out_labels: those with too few training images, where it was wished that they be left out; sorted.
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
    left_out_labels: list[str] = []
    library_versions: dict[str, str]
    artifacts: list[ExportedFile]
    parity: Parity
    variants: list[ModelVariant] = []
    recommendations: list[Recommendation] = []
    evaluation: Evaluation
    predictions: Sequence[ImagePrediction]
    phase_seconds: dict[str, float]


class Answers(_Frozen):
    """What a finished model says of images, where that was all that was asked for.

    Attributes:
        predictions: of the usable images, in their order; without `predicted_labels`, which depend on thresholds.
        unusable_images: images that could not be read, with the reason.
    """

    kind: Literal["answers"] = "answers"
    predictions: Sequence[ImagePrediction]
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


class Finished(_Frozen):
    """The last message of a training, or an answering, that succeeded: the file that holds its outcome."""

    kind: Literal["finished"] = "finished"
    path: Path


class Failure(_Frozen):
    """The last message of a training, or an answering, that failed."""

    kind: Literal["failure"] = "failure"
    reason: FailureReason
    message: str
    metadata: dict[str, str] = {}
    violations: list[Violation] = []


Message = Progress | Failure | Finished
MESSAGE: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="kind")])
"""Reads one line of the engine's standard output."""
