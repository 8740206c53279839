"""Settings of the labeling service, read from the environment (`SIGHTSMITH_…`)."""

import os
from functools import cached_property
from pathlib import Path

from pydantic import Field

from sightsmith.places import AllowedPlaces
from sightsmith.settings import MEBIBYTE, Settings
from sightsmith_labeling.embeddings.store import DEFAULT_BACKBONE


class LabelingSettings(Settings):
    """What labeling needs to know beyond what every process needs."""

    listen: str = "127.0.0.1:50051"

    # Limits on what a client may send.
    max_label_length: int = Field(default=255, ge=1)
    max_batch_size: int = Field(default=1000, ge=1)
    max_source_length: int = Field(default=1024, ge=1)

    # Quotas. Those that Rekognition Custom Labels has and that do no harm are the defaults; None stands for no limit.
    max_projects: int | None = Field(default=None, ge=1)
    max_labels_per_project: int | None = Field(default=1000, ge=1)
    max_images_per_dataset: int | None = Field(default=500_000, ge=1)
    max_labels_per_image: int | None = Field(default=None, ge=1)
    max_boxes_per_image: int | None = Field(default=None, ge=1)

    # Images whose bytes are in memory to be checked and stored, for all uploads together.
    upload_concurrency: int = Field(default_factory=lambda: 2 * (os.cpu_count() or 1), ge=1)
    # Uploads that run beside each other, each with one more image in memory; further ones wait for their turn.
    max_concurrent_uploads: int = Field(default=16, ge=1)
    # An upload whose client sends nothing, or takes no answer, for this long is ended: it holds the turn of another.
    upload_idle_seconds: float = Field(default=120.0, gt=0)

    # Processes in which images are decoded, each one image at a time. They begin when images come.
    intake_processes: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    # Longest side of a thumbnail in pixels. Thumbnails that are stored already keep the side they were made with.
    thumbnail_side: int = Field(default=256, ge=16, le=2048)

    # Jobs: a worker that has not been heard of for the time of its lease is taken to be lost.
    job_lease_seconds: float = Field(default=15.0, gt=0)
    job_heartbeat_seconds: float = Field(default=1.0, gt=0)
    job_poll_seconds: float = Field(default=0.5, gt=0)
    job_max_attempts: int = Field(default=5, ge=1)
    # Jobs that one worker runs beside each other, and where it keeps their files.
    job_concurrency: int = Field(default=2, ge=1)
    work_dir: Path = Path("work")
    # How soon a watch of a job sees a change, and how often it shows that it is alive.
    watch_interval_seconds: float = Field(default=0.3, gt=0)
    watch_keepalive_seconds: float = Field(default=15.0, gt=0)

    # Embeddings: by which backbones, the first of which serves the search for similar images; how many images at once.
    embedding_backbones: tuple[str, ...] = Field(default=(DEFAULT_BACKBONE,), min_length=1)
    embedding_batch_images: int = Field(default=32, ge=1, le=256)
    # New images are embedded once none has come for a while, or when one has waited for so long.
    embedding_quiet_seconds: float = Field(default=2.0, ge=0)
    embedding_patience_seconds: float = Field(default=60.0, ge=0)
    # With the pauses in between, an image that fails each time is given up after about ten hours.
    embedding_attempts: int = Field(default=20, ge=1)
    embedding_poll_seconds: float = Field(default=1.0, gt=0)
    # While inference is away, it is asked again later and later, up to this.
    embedding_longest_pause_seconds: float = Field(default=15.0, gt=0)

    # An order for labelling: among how many images it is made, and about how many of them a deployment is asked in the
    # call. With more, both take longer.
    order_max_compared_images: int = Field(default=5000, ge=1)
    order_max_predicted_images: int = Field(default=256, ge=1)

    # Imports. Places that clients may import from, beside the files that they upload: `["s3://bucket/folder/"]`.
    import_sources: tuple[str, ...] = ()
    max_uploaded_file_bytes: int = Field(default=64 * 1024 * MEBIBYTE, ge=1)
    # How long files for imports, and the archives of exports, are kept.
    uploaded_file_days: float = Field(default=7.0, gt=0)
    export_days: float = Field(default=7.0, gt=0)
    # What an import may be at most: its lines (or images), a line's characters, its files, and what they unpack to.
    max_import_lines: int = Field(default=1_000_000, ge=1)
    max_import_line_characters: int = Field(default=1_000_000, ge=1000)
    max_import_files: int = Field(default=1_000_000, ge=1)
    max_import_unpacked_bytes: int = Field(default=512 * 1024 * MEBIBYTE, ge=1)
    # The share of an import's lines that may be rejected before it fails, where the job says nothing else.
    max_rejected_fraction: float = Field(default=0.2, ge=0, le=1)
    # Images that were imported by reference and are fetched at the same time.
    fetch_concurrency: int = Field(default=8, ge=1)
    fetch_timeout_seconds: float = Field(default=60.0, gt=0)

    # Validation. What a training needs at least; the defaults are those of Rekognition Custom Labels.
    validation_max_invalid_fraction: float = Field(default=0.2, ge=0, le=1)
    validation_min_label_overlap: float = Field(default=0.5, ge=0, le=1)
    validation_min_classes: int = Field(default=2, ge=1)
    validation_min_box_labels: int = Field(default=1, ge=1)
    # From where on images, boxes and labels are worth a warning; docs/validation.md says how these were chosen.
    validation_min_contrast: float = Field(default=4.0, ge=0)
    validation_min_sharpness: float = Field(default=10.0, ge=0)
    validation_min_brightness: float = Field(default=20.0, ge=0)
    validation_max_brightness: float = Field(default=250.0, ge=0)
    validation_near_duplicate_bits: int = Field(default=4, ge=0, le=8)
    validation_near_duplicate_similarity: float = Field(default=0.85, ge=-1, le=1)
    validation_min_box_share: float = Field(default=0.0005, ge=0, le=1)
    validation_max_box_share: float = Field(default=0.98, ge=0, le=1)
    validation_same_box_overlap: float = Field(default=0.9, ge=0, le=1)
    validation_min_images_per_label: int = Field(default=10, ge=1)
    validation_max_imbalance: float = Field(default=20.0, ge=1)
    # Among how many images wrong labels are looked for at most, and how many are told.
    validation_max_judged_images: int = Field(default=20_000, ge=1)
    validation_max_suspect_labels: int = Field(default=1000, ge=1)
    # How long the files that a validation writes are kept.
    validation_days: float = Field(default=7.0, gt=0)

    # Reviews: how many people must agree where a project does not say, how long a claimed item is kept for a person,
    # how long an item waits for its decision, and how many items are compared to tell how far reviewers agree.
    required_reviews: int = Field(default=1, ge=1, le=20)
    review_claim_seconds: float = Field(default=3600.0, gt=0)
    review_item_days: float = Field(default=30.0, gt=0)
    max_compared_review_items: int = Field(default=10_000, ge=1)
    # How many items, the newest, the precision of a deployment is estimated from.
    max_estimated_review_items: int = Field(default=100_000, ge=1)

    @cached_property
    def import_places(self) -> AllowedPlaces:
        """The places that clients may import from.

        Raises:
            ValueError: if one of the URLs is neither of an object store nor of this machine.
        """
        return AllowedPlaces(self.import_sources, "SIGHTSMITH_IMPORT_SOURCES")
