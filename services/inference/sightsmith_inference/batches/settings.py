"""Settings of batch predictions, which are part of those of the inference service."""

import os

from pydantic import Field

from sightsmith.output_places import OutputPlaces
from sightsmith.settings import MEBIBYTE, Settings


class BatchSettings(Settings):
    """What batch predictions need to know."""

    # Places that clients may have results written to, as `["s3://bucket/folder/"]`.
    output_roots: tuple[str, ...] = ()

    # Shards that this process answers beside each other; 0 leaves them to other processes.
    batch_workers: int = Field(default=1, ge=0)
    # How images of a shard are taken: so many at once, decoded by so many threads.
    batch_chunk_images: int = Field(default=16, ge=1, le=256)
    batch_decode_threads: int = Field(default_factory=lambda: max(1, (os.cpu_count() or 1) // 2), ge=1)
    batch_fetch_seconds: float = Field(default=60.0, gt=0)
    # The share of a worker's time that it uses while others ask for predictions in the same process.
    batch_share_beside_calls: float = Field(default=0.25, gt=0, le=1)
    # How long a worker may be silent before its shard is given to another one.
    batch_lease_seconds: float = Field(default=15.0, ge=1)
    # How long the inference server, or the deployment's model, may be away before a job fails.
    batch_max_outage_seconds: float = Field(default=3600.0, ge=0)

    # How jobs are cut and how often they are looked after.
    batch_shard_images: int = Field(default=256, ge=1, le=10_000)
    batch_look_seconds: float = Field(default=1.0, gt=0)
    # Shards of one job that are on the queue at a time, so that a large job does not keep a small one waiting; and
    # after how long one that nobody has taken is put there again.
    batch_queued_shards: int = Field(default=64, ge=1)
    batch_requeue_seconds: float = Field(default=60.0, gt=0)

    # Limits.
    max_batch_jobs_running: int = Field(default=4, ge=1)
    max_batch_jobs_open: int = Field(default=1000, ge=1)
    max_batch_job_images: int = Field(default=10_000_000, ge=1)
    max_batch_manifest_bytes: int = Field(default=4096 * MEBIBYTE, ge=1)
    max_batch_manifest_line_bytes: int = Field(default=MEBIBYTE, ge=1024)

    @property
    def output_places(self) -> OutputPlaces:
        """Where results may be written.

        Raises:
            ValueError: if one of the roots is neither of an object store nor of this machine.
        """
        return OutputPlaces(self.output_roots, self.object_store_url)
