"""Settings of the labeling service, read from the environment (`SIGHTSMITH_…`)."""

import os

from pydantic import Field

from sightsmith.settings import Settings


class LabelingSettings(Settings):
    """What labeling needs to know beyond what every process needs."""

    listen: str = "127.0.0.1:50051"

    # Limits on what a client may send.
    max_label_length: int = Field(default=255, ge=1)
    max_labels_per_image: int = Field(default=1000, ge=1)
    max_source_length: int = Field(default=1024, ge=1)

    # Images whose bytes are in memory to be checked and stored, for all uploads together.
    upload_concurrency: int = Field(default_factory=lambda: 2 * (os.cpu_count() or 1), ge=1)
    # Uploads that run beside each other, each with one more image in memory; further ones wait for their turn.
    max_concurrent_uploads: int = Field(default=16, ge=1)
