"""What goes into the engine: one JSON file. The worker imports this module too, so it needs neither torch nor gRPC."""

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

VariantWish = Literal["auto", "none", "all"]
"""Which variants to try: those that are worth their time, which a `fast` training has not; none; all."""

Share = Annotated[float, Field(ge=0, le=1)]
MAX_UNUSABLE_FRACTION = 0.2
"""Share of the images that may be missing, altered or unreadable, where nothing else is said."""


FROZEN = ConfigDict(frozen=True, extra="forbid")
"""Of everything that goes into the engine or comes out of it."""


class _Frozen(BaseModel):
    model_config = FROZEN


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
        left_out_boxes: of objects on it that are not to be learned, because their labels have too few images.
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
    left_out_boxes: list[SpecBox] = []
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
        leave_out_rare_labels: whether labels with too few training images are left out, instead of failing.
    """

    task: TaskWish = "auto"
    effort: Effort = "balanced"
    budget_seconds: float | None = Field(default=None, gt=0)
    preference: Preference = "balanced"
    variants: VariantWish = "auto"
    max_variant_loss: Share = 0.01
    output_prefix: str = ""
    leave_out_rare_labels: bool = False

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
        spent_seconds: of the budget, by attempts that broke off.
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
    spent_seconds: float = Field(default=0.0, ge=0)
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
        output_dir: folder on this machine that receives the answers.
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
    output_dir: Path
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
