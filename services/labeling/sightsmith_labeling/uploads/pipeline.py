"""Uploads: images are checked and stored beside each other, their rows committed together, each one answered."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass

from prometheus_client import Counter

from sightsmith.database import Database
from sightsmith.errors import SightsmithError
from sightsmith.images import ImageError, ImageInfo, ImageLimits, inspect
from sightsmith.objects import Objects, image_key
from sightsmith_labeling.datasets import DatasetKey
from sightsmith_labeling.joining import NewImage, join
from sightsmith_labeling.uploads.answers import Answer, RefusedImage, answer_of, unacceptable
from sightsmith_labeling.uploads.assembler import Assembler, Part, ReceivedImage
from sightsmith_labeling.uploads.header import HeaderLimits

# Rows in one transaction at most: enough that its cost is shared, few enough that answers come steadily.
_ROWS_TOGETHER = 64
# Images of one upload that were begun and whose answer the client has not taken yet. They hold no bytes for the most
# part; the bound is for clients that send and do not read.
_UNANSWERED = 256

_images = Counter("sightsmith_labeling_uploaded_images_total", "Images that were answered, by outcome.", ["outcome"])


@dataclass(frozen=True)
class UploadLimits:
    """What uploads may be and use.

    Attributes:
        image: what is accepted as an image.
        header: what is accepted as its header.
        images_in_memory: images whose bytes are held to be checked and stored, for all uploads together.
        uploads: uploads that run beside each other; each holds the bytes of one more image while they arrive.
    """

    image: ImageLimits
    header: HeaderLimits
    images_in_memory: int
    uploads: int


class Uploads:
    """Takes uploads into datasets; its limits hold for all of them together."""

    def __init__(self, database: Database, objects: Objects, limits: UploadLimits) -> None:
        self._turn = asyncio.Semaphore(limits.uploads)
        self._limits = limits
        self._store = _Store(database, objects, limits)

    async def run(self, dataset: DatasetKey, parts: AsyncIterator[Part]) -> AsyncGenerator[Answer, None]:
        """Stores the images of one upload, and answers each as soon as it is stored for good or refused.

        Nothing is read from `parts` while too much is in memory or unanswered: the stream itself holds the client back.

        Raises:
            InvalidArgumentError: if the parts come in a wrong order; the images before are answered first.
            UnavailableError: if the database or the object store cannot be reached.
        """
        async with self._turn:
            assembler = Assembler(self._limits.header, self._limits.image.max_bytes)
            async with aclosing(_Upload(dataset, assembler, self._store).answers(parts)) as answers:
                async for answer in answers:
                    yield answer

    def close(self) -> None:
        """Lets go of the threads."""
        self._store.close()


class _Store:
    """Checks images, stores their bytes and commits their rows, for every upload."""

    def __init__(self, database: Database, objects: Objects, limits: UploadLimits) -> None:
        self._database = database
        self._objects = objects
        self._limits = limits.image
        # Decoding a picture takes many times its encoded size, so it is bounded for the whole process.
        self._threads = ThreadPoolExecutor(limits.images_in_memory, thread_name_prefix="inspect")
        self.slots = asyncio.Semaphore(limits.images_in_memory)

    async def keep_bytes(self, received: ReceivedImage) -> NewImage:
        """Checks an image and stores its bytes.

        Raises:
            ImageError: if it is not an image that is taken.
        """
        loop = asyncio.get_running_loop()
        sha256, info = await loop.run_in_executor(self._threads, _examine, received.data, self._limits)
        await self._objects.put_once(image_key(sha256), received.data)
        return NewImage(sha256, received.header.source, received.header.labels, info, len(received.data))

    async def commit(self, dataset: DatasetKey, batch: list[tuple[int, NewImage]]) -> list[Answer]:
        """Commits the rows of images whose bytes are stored."""
        joined = await join(self._database, dataset, [image for _, image in batch])
        return [
            answer_of(index, image.source, image.labels, outcome)
            for (index, image), outcome in zip(batch, joined, strict=True)
        ]

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Upload:
    """One upload from its first image to its last answer."""

    def __init__(self, dataset: DatasetKey, assembler: Assembler, store: _Store) -> None:
        self._dataset = dataset
        self._assembler = assembler
        self._store = store
        self._unanswered = asyncio.Semaphore(_UNANSWERED)
        self._committing = asyncio.Lock()
        self._waiting: list[tuple[int, NewImage]] = []
        self._answers: asyncio.Queue[Answer | None] = asyncio.Queue()

    async def answers(self, parts: AsyncIterator[Part]) -> AsyncGenerator[Answer, None]:
        """Runs the upload. Whoever stops listening stops it."""
        work = asyncio.create_task(self._work(parts))
        try:
            while (answer := await self._answers.get()) is not None:
                yield answer
                self._unanswered.release()
            await work
        finally:
            work.cancel()

    async def _work(self, parts: AsyncIterator[Part]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                wrong_part = await self._receive(parts, group)
        except ExceptionGroup as failures:
            # The first failure has cancelled the other tasks; the call ends with it alone.
            raise failures.exceptions[0] from failures
        finally:
            self._answers.put_nowait(None)
        if wrong_part is not None:
            raise wrong_part

    async def _receive(self, parts: AsyncIterator[Part], group: asyncio.TaskGroup) -> SightsmithError | None:
        """Reads to the end, or to a wrong part, which it returns: the images that came whole are finished first."""
        try:
            async for part in parts:
                await self._handle(self._assembler.feed(part), group)
        except SightsmithError as error:
            return error
        await self._handle(self._assembler.end(), group)
        return None

    async def _handle(self, image: ReceivedImage | RefusedImage | None, group: asyncio.TaskGroup) -> None:
        if image is None:
            return
        await self._unanswered.acquire()
        if isinstance(image, RefusedImage):
            self._answer(image)
            return
        await self._store.slots.acquire()
        task = group.create_task(self._keep(image, group))
        # Not in the task itself: one that is cancelled before it begins would never give its slot back.
        task.add_done_callback(lambda _: self._store.slots.release())

    async def _keep(self, image: ReceivedImage, group: asyncio.TaskGroup) -> None:
        source = image.header.source
        try:
            kept = await self._store.keep_bytes(image)
        except ImageError as error:
            self._answer(RefusedImage(image.index, source, unacceptable(source, error)))
            return
        self._waiting.append((image.index, kept))
        group.create_task(self._commit_waiting())

    async def _commit_waiting(self) -> None:
        """Commits every row that waits. While one transaction runs, the rows for the next one gather by themselves."""
        async with self._committing:
            batch, self._waiting = self._waiting[:_ROWS_TOGETHER], self._waiting[_ROWS_TOGETHER:]
            if batch:
                for answer in await self._store.commit(self._dataset, batch):
                    self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        outcome = "rejected" if isinstance(answer, RefusedImage) else "created" if answer.is_new else "unchanged"
        _images.labels(outcome).inc()
        self._answers.put_nowait(answer)


def _examine(data: bytes, limits: ImageLimits) -> tuple[str, ImageInfo]:
    """Slow, and done by libraries that let other threads run meanwhile."""
    info = inspect(data, limits)
    return hashlib.sha256(data).hexdigest(), info
