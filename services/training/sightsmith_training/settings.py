"""Settings of the training service and its workers."""

from functools import cached_property
from pathlib import Path

from pydantic import Field, field_validator

from sightsmith.images import ImageLimits
from sightsmith.output_places import OutputPlaces
from sightsmith.settings import Settings
from sightsmith_training.engine.backbone_choice import EMBEDDING_BACKBONE
from sightsmith_training.engine.catalogue import CATALOGUE
from sightsmith_training.engine.specification import DeviceWish


class TrainingSettings(Settings):
    """Settings of the training service and its workers."""

    listen: str = "127.0.0.1:50052"

    # What a training asks of its data, and of its exports.
    min_images_per_label: int = Field(default=3, ge=2)
    parity_tolerance: float = Field(default=1e-4, ge=0)

    # The longest budget that a training may be given.
    max_budget_seconds: float = Field(default=86400.0, ge=10)

    # What may be said of a model: the limits of Rekognition Custom Labels.
    max_description_length: int = Field(default=255, ge=0)
    max_tags_per_model: int = Field(default=50, ge=0)
    max_tag_name_length: int = Field(default=128, ge=1)
    max_tag_value_length: int = Field(default=256, ge=0)

    # How many of the images that a model was judged by are shown in its report, mistakes first.
    report_images: int = Field(default=300, ge=0)

    # Places where users may have result files written, beside their project's own folder in the object store:
    # `["s3://bucket/folder/"]`; how long writing them may take, how often it is tried again where it fails, and for how
    # long after a version came to be.
    output_roots: tuple[str, ...] = ()
    output_timeout_seconds: float = Field(default=60.0, gt=0)
    output_retry_seconds: float = Field(default=30.0, gt=0)
    output_patience_seconds: float = Field(default=3600.0, ge=0)

    # How often files are deleted that ended trainings leave behind, and files of deleted models that could not be
    # deleted at once.
    discard_seconds: float = Field(default=60.0, gt=0)
    # For how long they are looked for, because a worker that was taken for dead may still store some.
    late_files_seconds: float = Field(default=86400.0, ge=0)

    # Backbones that stand in the inference server to embed images, so that labeling can compare them and trainings find
    # features made. Each costs memory there.
    published_backbones: tuple[str, ...] = (EMBEDDING_BACKBONE.name,)
    backbone_retry_seconds: float = Field(default=30.0, gt=0)

    # A worker that has not been heard of for the time of its lease is taken to be lost.
    lease_seconds: float = Field(default=15.0, gt=0)
    heartbeat_seconds: float = Field(default=1.0, gt=0)
    max_attempts: int = Field(default=5, ge=1)
    poll_seconds: float = Field(default=2.0, gt=0)
    # A training or evaluation that reports nothing for so long is ended as failed: it hangs.
    max_silence_seconds: float = Field(default=7200.0, gt=0)
    # How long a job waits in all, between tries, for an object store or a cluster that is away, before it fails.
    max_outage_seconds: float = Field(default=600.0, ge=0)

    # How soon a watch sees a change, and how often it shows that it is alive.
    watch_interval_seconds: float = Field(default=0.3, gt=0)
    watch_keepalive_seconds: float = Field(default=15.0, gt=0)

    # Where a worker keeps files of the job that it is at; processor threads for it, 0 for all.
    work_dir: Path = Path("work")
    # Whether an idle worker keeps a process waiting that has loaded its libraries: half a gigabyte of memory, and each
    # training begins seconds earlier.
    spare_process: bool = True
    training_threads: int = Field(default=0, ge=0)
    # How far a detector's input may grow where objects are very small, and the disk space for decoded images.
    max_detector_side: int = Field(default=1280, ge=320)
    max_decoded_bytes: int = Field(default=16 * 1024**3, ge=0)
    # Whether networks are tuned on GPUs of the worker's machine; the Ray cluster to try them on, if there is one.
    training_device: DeviceWish = "auto"
    ray_address: str = ""
    # Processor threads for judging models by other images, beside a training; 0 for half of them.
    evaluation_threads: int = Field(default=0, ge=0)

    @field_validator("published_backbones")
    @classmethod
    def _check_backbones(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        known = [backbone.name for backbone in CATALOGUE]
        if unknown := set(names) - set(known):
            raise ValueError(f"there are {', '.join(known)}, and no {', '.join(sorted(unknown))}")
        return names

    @property
    def image_limits(self) -> ImageLimits:
        """What an image may be at most."""
        return ImageLimits(self.max_image_bytes, self.max_image_pixels, self.min_image_side)

    @cached_property
    def output_places(self) -> OutputPlaces:
        """Where users may have result files written.

        Raises:
            ValueError: if one of the roots is neither of an object store nor of this machine.
        """
        return OutputPlaces(self.output_roots, self.object_store_url)
