"""Cutting a job into shards: its images are listed once and written down, so many to an object."""

import asyncio
import hashlib
import secrets
import sqlite3
from collections.abc import Sequence
from contextlib import closing

import msgspec

from sightsmith.errors import FailedPreconditionError, ResourceExhaustedError
from sightsmith.objects import Objects
from sightsmith_inference.batches.job import BatchJob
from sightsmith_inference.batches.job_steps import JobSteps
from sightsmith_inference.batches.sources import Item, Sources

_DIGEST_BYTES = 16


def images_key(job: BatchJob, plan: str, shard: int) -> str:
    """Key of the object that holds the images of a shard."""
    return f"{job.folder}/{plan}/images/{shard:08d}.json"


def decode_items(data: bytes) -> list[Item]:
    """The images that such an object holds."""
    return msgspec.json.decode(data, type=list[Item])


class Planner:
    """Plans jobs. Where one is cut off, the next one begins anew, at a place of its own."""

    def __init__(self, sources: Sources, objects: Objects, steps: JobSteps, shard_images: int, max_images: int) -> None:
        self._sources = sources
        self._objects = objects
        self._steps = steps
        self._shard_images = shard_images
        self._max_images = max_images

    async def plan(self, job: BatchJob) -> None:
        """Lists the images of a job and lets its shards be answered.

        Raises:
            FailedPreconditionError: with the reason SOURCE_UNREADABLE, if there are none; see `Sources.pages` for more.
            ResourceExhaustedError: if there are too many.
        """
        plan = secrets.token_hex(4)
        waiting: list[Item] = []
        shards = images = skipped = 0
        with closing(_Seen()) as seen:
            async for page in self._sources.pages(job.spec):
                new = await asyncio.to_thread(seen.new_of, page.items)
                skipped += page.skipped + len(page.items) - len(new)
                images += len(new)
                self._require_allowed(images)
                waiting += new
                while len(waiting) >= self._shard_images:
                    await self._write(job, plan, shards, waiting[: self._shard_images])
                    del waiting[: self._shard_images]
                    shards += 1
        if waiting:
            await self._write(job, plan, shards, waiting)
        if not images:
            raise FailedPreconditionError(
                f"there are no images in the source; files that are none by their names: {skipped}",
                reason="SOURCE_UNREADABLE",
            )
        await self._steps.cut(job, plan, images, skipped, self._shard_images)

    async def _write(self, job: BatchJob, plan: str, shard: int, items: Sequence[Item]) -> None:
        await self._objects.put(images_key(job, plan, shard), msgspec.json.encode(items))

    def _require_allowed(self, images: int) -> None:
        if images > self._max_images:
            raise ResourceExhaustedError(
                f"the source has more than the {self._max_images} images that a job may have",
                metadata={"limit": str(self._max_images)},
            )


class _Seen:
    """Which images came already. On disk, for ten million of them would be a gigabyte in memory."""

    def __init__(self) -> None:
        # An empty name stands for a file that is gone once it is closed.
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY) WITHOUT ROWID")

    def new_of(self, items: Sequence[Item]) -> list[Item]:
        """Those that have not come before."""
        return [item for item in items if self._is_first(item.image or item.source)]

    def close(self) -> None:
        """Forgets everything."""
        self._database.close()

    def _is_first(self, name: str) -> bool:
        digest = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES).digest()
        return self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,)).rowcount == 1
