"""Putting the lines of all shards together, in order, without ever holding more than a few shards."""

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator

from sightsmith.errors import FailedPreconditionError, InternalError, SightsmithError
from sightsmith.logs import get_logger
from sightsmith.objects import Objects
from sightsmith.output_places import OutputPlaces, store_at, url_of
from sightsmith.places import Place
from sightsmith_inference.batches.job import BatchJob, ResultFile, ResultFormat
from sightsmith_inference.batches.job_steps import JobSteps
from sightsmith_inference.batches.worker import result_key

_READ_AHEAD = 8
_log = get_logger(__name__)


class Finisher:
    """Makes the files of results."""

    def __init__(self, objects: Objects, places: OutputPlaces, steps: JobSteps) -> None:
        """Prepares it.

        Args:
            objects: where the lines of the shards are.
            places: where results may be written.
            steps: ends the jobs.
        """
        self._objects = objects
        self._places = places
        self._steps = steps

    async def finish(self, job: BatchJob) -> None:
        """Writes the files of a job whose shards are all done, and ends it.

        Raises:
            FailedPreconditionError: if nothing may be written there any more.
            UnavailableError: if a store cannot be reached.
            InternalError: if lines are missing.
        """
        place = await self._place_of(job)
        store = Objects(await asyncio.to_thread(store_at, place))
        results = [await self._write(job, place, store, written) for written in job.spec.formats]
        await self._steps.succeed(job, results)

    async def open(self, job: BatchJob, file: ResultFile, offset: int) -> AsyncIterator[bytes]:
        """The bytes of a file of results, in chunks of at most 1 MiB.

        Raises:
            FailedPreconditionError: if the operator does not allow the place any more.
            FileNotFoundError: if it is not there any more.
            UnavailableError: if the store cannot be reached.
        """
        store = Objects(await asyncio.to_thread(store_at, await self._place_of(job)))
        if offset < file.size_bytes:
            async for chunk in store.chunks(_key(job, file.format), offset):
                yield chunk

    async def remove(self, job: BatchJob) -> None:
        """Deletes what was written for a job that did not succeed."""
        try:
            store = Objects(await asyncio.to_thread(store_at, await self._place_of(job)))
            for written in job.spec.formats:
                await store.delete(_key(job, written))
        except SightsmithError as error:
            # A place of the user's own may be gone for good: that keeps nobody from clearing away the rest.
            _log.warning("results of a job may be left", job=str(job.name), error=error.message)

    async def _place_of(self, job: BatchJob) -> Place:
        try:
            return await asyncio.to_thread(self._places.find, job.project, job.spec.output_prefix)
        except ValueError as error:
            raise FailedPreconditionError(f"output_prefix: {error}", reason="INVALID_FIELD") from error

    async def _write(self, job: BatchJob, place: Place, store: Objects, written: ResultFormat) -> ResultFile:
        counted = _Counted(self._parts(job, written))
        key = _key(job, written)
        await store.put_stream(key, counted.chunks())
        if counted.lines != job.images:
            raise InternalError(f"{key} has {counted.lines} lines for {job.images} images")
        return ResultFile(
            format=written, url=url_of(place, key), sha256=counted.sha256.hexdigest(), size_bytes=counted.size
        )

    async def _parts(self, job: BatchJob, written: ResultFormat) -> AsyncIterator[bytes]:
        """The lines of each shard. The next few are read meanwhile: there may be many, and each read takes its time."""
        coming: deque[asyncio.Task[bytes]] = deque()
        try:
            for shard in range(job.shards + _READ_AHEAD):
                if shard < job.shards:
                    coming.append(asyncio.create_task(self._read(result_key(job, shard, written))))
                if shard >= _READ_AHEAD and coming:
                    yield await coming.popleft()
            while coming:
                yield await coming.popleft()
        finally:
            for task in coming:
                task.cancel()

    async def _read(self, key: str) -> bytes:
        try:
            return await self._objects.get(key)
        except FileNotFoundError:
            raise InternalError(f"{key} is not in the object store any more") from None


class _Counted:
    """Chunks on their way: how many bytes and lines they have, and the SHA-256 of them all."""

    def __init__(self, parts: AsyncIterator[bytes]) -> None:
        self._parts = parts
        self.sha256 = hashlib.sha256()
        self.size = 0
        self.lines = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        """Passes the chunks on."""
        async for part in self._parts:
            self.sha256.update(part)
            self.size += len(part)
            self.lines += part.count(b"\n")
            yield part


def _key(job: BatchJob, written: ResultFormat) -> str:
    return f"{job.id}/{written.file_name}"
