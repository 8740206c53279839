"""The export job: a project's images and annotations into an archive in the object store."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, TextIO

from sightsmith.database import Database
from sightsmith.errors import FailedPreconditionError, NotFoundError
from sightsmith.objects import Objects, image_key, s3_url_of
from sightsmith_labeling.exports.archive import ZipSink
from sightsmith_labeling.exports.images import ChosenImage, ChosenImages
from sightsmith_labeling.exports.request import EXPORT_JOBS, ExportRequest, export_key
from sightsmith_labeling.formats.catalogue import FORMATS
from sightsmith_labeling.formats.records import ExportedImage, Format, FormatError
from sightsmith_labeling.jobs.job import JobName
from sightsmith_labeling.jobs.running import RunningJob

# Images whose bytes are in memory at the same time; each may be as large as images may be.
_IMAGES_AT_ONCE = 4


@dataclass
class _Counts:
    image_count: int = 0
    label_count: int = 0
    box_count: int = 0
    packed_image_count: int = 0

    def add(self, image: ExportedImage) -> None:
        boxes = sum(annotation.box is not None for annotation in image.annotations)
        self.image_count += 1
        self.box_count += boxes
        self.label_count += len(image.annotations) - boxes


class ExportJobs:
    """The kind of job that exports. A job whose worker is lost begins anew: nobody has seen what was written."""

    name: ClassVar[str] = EXPORT_JOBS

    def __init__(self, database: Database, objects: Objects, object_store_url: str) -> None:
        self._database = database
        self._objects = objects
        self._store = s3_url_of(object_store_url)

    async def run(self, job: RunningJob) -> Mapping[str, Any]:
        """Exports.

        Raises:
            FailedPreconditionError: with the reason EXPORT_FAILED, if the format cannot say what the images hold.
        """
        request = ExportRequest.model_validate(job.spec)
        path = job.folder / "export.zip"
        sink = ZipSink(path)
        try:
            counts = await self._write(job, request, sink)
            if request.with_images:
                await self._pack(job, sink, counts)
        finally:
            await asyncio.to_thread(sink.close)
        await job.advance("storing", 0)
        name = JobName.parse(job.name)
        sha256, size_bytes = await asyncio.to_thread(_measure, path)
        await self._objects.put_file(export_key(name.project, name.job), path)
        return {**asdict(counts), "sha256": sha256, "size_bytes": size_bytes}

    async def _write(self, job: RunningJob, request: ExportRequest, sink: ZipSink) -> _Counts:
        """Writes everything but the images' bytes, from the database as it stands now."""
        scratch = job.folder / "scratch"
        scratch.mkdir()
        async with self._database.transaction() as session:
            snapshot = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            await session.connection(execution_options=snapshot)
            chosen = ChosenImages(session, job.project, request, self._store)
            labels = await chosen.labels()
            writing = _Writing(job, FORMATS[request.format], chosen.batches())
            try:
                return await writing.run(labels, sink, scratch)
            except FormatError as error:
                metadata = {"code": error.code}
                raise FailedPreconditionError(error.message, reason="EXPORT_FAILED", metadata=metadata) from error

    async def _pack(self, job: RunningJob, sink: ZipSink, counts: _Counts) -> None:
        """Adds the images' bytes, a few at a time."""
        packed = await asyncio.to_thread((job.folder / "packed").open, "r", encoding="utf-8")
        with packed as file:
            while images := [json.loads(line) for line in islice(file, _IMAGES_AT_ONCE)]:
                contents = await asyncio.gather(*(self._bytes_of(sha256) for sha256, _ in images))
                await asyncio.to_thread(_add_all, sink, [path for _, path in images], contents)
                counts.packed_image_count += len(images)
                await job.advance("packing images", counts.packed_image_count, counts.image_count)

    async def _bytes_of(self, sha256: str) -> bytes:
        try:
            return await self._objects.get(image_key(sha256))
        except FileNotFoundError:
            raise NotFoundError(f"the stored image {sha256}") from None


class _Writing:
    """A format's writer at work: it runs in a thread of its own, and the images come to it from the event loop."""

    def __init__(self, job: RunningJob, format_: Format, batches: AsyncIterator[Sequence[ChosenImage]]) -> None:
        self._job = job
        self._format = format_
        self._batches = batches
        self._loop = asyncio.get_running_loop()
        self._counts = _Counts()
        self._is_stopped = False

    async def run(self, labels: Sequence[str], sink: ZipSink, scratch: Path) -> _Counts:
        """Writes the files and keeps a list of the images to be packed; returns when the thread has ended."""
        self._ahead = asyncio.ensure_future(self._fetch())
        with ThreadPoolExecutor(1, thread_name_prefix="export") as thread:
            work = self._loop.run_in_executor(thread, self._write, labels, sink, scratch)
            try:
                await asyncio.shield(work)
            finally:
                self._is_stopped = True
                await asyncio.gather(work, self._ahead, return_exceptions=True)
        return self._counts

    def _write(self, labels: Sequence[str], sink: ZipSink, scratch: Path) -> None:
        with (self._job.folder / "packed").open("w", encoding="utf-8") as packed:
            self._format.write(self._images(packed), labels, sink, scratch)

    def _images(self, packed: TextIO) -> Iterator[ExportedImage]:
        while batch := asyncio.run_coroutine_threadsafe(self._next(), self._loop).result():
            for chosen in batch:
                self._counts.add(chosen.image)
                yield chosen.image
                if chosen.sha256 is not None:
                    packed.write(f"{json.dumps([chosen.sha256, self._format.image_path(chosen.image)])}\n")

    async def _next(self) -> Sequence[ChosenImage]:
        if self._is_stopped:
            raise asyncio.CancelledError
        batch = await self._ahead
        self._ahead = asyncio.ensure_future(self._fetch())
        await self._job.advance("writing", self._counts.image_count)
        return batch

    async def _fetch(self) -> Sequence[ChosenImage]:
        async for batch in self._batches:
            return batch
        return ()


def _add_all(sink: ZipSink, paths: Sequence[str], contents: Sequence[bytes]) -> None:
    for path, data in zip(paths, contents, strict=True):
        sink.add(path, data)


def _measure(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size
