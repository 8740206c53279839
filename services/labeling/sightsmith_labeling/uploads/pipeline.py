"""Uploads: images are checked and stored beside each other, their rows committed together, each one answered."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from contextvars import copy_context
from dataclasses import dataclass

from prometheus_client import Counter

from sightsmith.actor import current_actor
from sightsmith.database import Database
from sightsmith.errors import DeadlineExceededError, InvalidArgumentError, SightsmithError
from sightsmith.images import ImageError
from sightsmith_labeling.datasets import DatasetKey
from sightsmith_labeling.intake import Intake
from sightsmith_labeling.joining import NewImage
from sightsmith_labeling.quotas import Quotas
from sightsmith_labeling.uploads.answers import Answer, RefusedImage, answer_of, unacceptable, wrong_header
from sightsmith_labeling.uploads.assembler import Assembler, Part, ReceivedImage
from sightsmith_labeling.uploads.commits import Commits
from sightsmith_labeling.uploads.header import HeaderLimits, box_violations

# Images of one upload that were begun and whose answer the client has not taken yet. They hold no bytes for the most
# part; the bound is for clients that send and do not read.
_UNANSWERED = 256

_images = Counter("sightsmith_labeling_uploaded_images_total", "Images that were answered, by outcome.", ["outcome"])


@dataclass(frozen=True)
class UploadLimits:
    """What uploads may be and use.

    Attributes:
        header: what is accepted as the header of an image.
        quotas: how much there may be in the end.
        max_image_bytes: largest encoded image.
        images_in_memory: images whose bytes are held to be checked and stored, for all uploads together.
        uploads: uploads that run beside each other; each holds the bytes of one more image while they arrive.
        idle_seconds: how long a client may send nothing, or take no answer, before its upload is ended.
    """

    header: HeaderLimits
    quotas: Quotas
    max_image_bytes: int
    images_in_memory: int
    uploads: int
    idle_seconds: float


class Uploads:
    """Takes uploads into datasets; its limits hold for all of them together."""

    def __init__(self, database: Database, intake: Intake, limits: UploadLimits) -> None:
        self._store = _Store(database, intake, limits)

    async def run(self, dataset: DatasetKey, parts: AsyncIterator[Part]) -> AsyncGenerator[Answer, None]:
        """Stores the images of one upload, and answers each as soon as it is stored for good or refused.

        Nothing is read from `parts` while too much is in memory or unanswered: the stream itself holds the client back.

        Raises:
            InvalidArgumentError: if the parts come in a wrong order; the images before are answered first.
            DeadlineExceededError: if the client is idle for too long; the images before are answered first.
            ResourceExhaustedError: if there is no room for the images in the dataset.
            UnavailableError: if the database or the object store cannot be reached.
        """
        async with aclosing(_Upload(dataset, self._store).answers(parts)) as answers:
            async for answer in answers:
                yield answer


class _Store:
    """What all uploads share."""

    def __init__(self, database: Database, intake: Intake, limits: UploadLimits) -> None:
        self._intake = intake
        self.commits = Commits(database, limits.quotas)
        self.limits = limits
        self.turns = asyncio.Semaphore(limits.uploads)
        self.slots = asyncio.Semaphore(limits.images_in_memory)

    async def keep_bytes(self, received: ReceivedImage) -> NewImage:
        """Checks an image and stores its bytes.

        Raises:
            ImageError: if it is not an image that is taken.
            InvalidArgumentError: if a box is not inside the image.
        """
        header = received.header
        kept = await self._intake.keep(header.source, received.data)
        if violations := [*box_violations(header, kept.info.width, kept.info.height, self.limits.header)]:
            raise wrong_header(violations)
        return NewImage(kept, header.all_annotations(current_actor()))


class _Upload:
    """One upload from its first image to its last answer."""

    def __init__(self, dataset: DatasetKey, store: _Store) -> None:
        self._dataset = dataset
        self._assembler = Assembler(store.limits.header, store.limits.max_image_bytes)
        self._store = store
        self._unanswered = asyncio.Semaphore(_UNANSWERED)
        self._answers: asyncio.Queue[Answer | None] = asyncio.Queue()
        # Who uploads, for the audit trail: rows of several uploads may be committed together.
        self._context = copy_context()

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
            # The turn ends with the work: a client that does not take its last answers keeps nobody waiting.
            async with self._store.turns, asyncio.TaskGroup() as group:
                failure = await self._receive(parts, group)
        except ExceptionGroup as failures:
            # The first failure has cancelled the other tasks; the call ends with it alone.
            raise failures.exceptions[0] from failures
        finally:
            self._answers.put_nowait(None)
        if failure is not None:
            raise failure

    async def _receive(self, parts: AsyncIterator[Part], group: asyncio.TaskGroup) -> SightsmithError | None:
        """Reads to the end, or to what ends it early, which it returns: the images that came whole are finished."""
        try:
            while (part := await self._next(parts)) is not None:
                self._store.commits.hear()
                await self._handle(self._assembler.feed(part), group)
        except SightsmithError as error:
            return error
        await self._handle(self._assembler.end(), group)
        return None

    async def _next(self, parts: AsyncIterator[Part]) -> Part | None:
        async with self._patience("sent nothing"):
            return await anext(parts, None)

    @asynccontextmanager
    async def _patience(self, what: str) -> AsyncIterator[None]:
        seconds = self._store.limits.idle_seconds
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            message = f"the client {what} for {seconds:g} s; every image that is not answered is to be sent again"
            raise DeadlineExceededError(message) from None

    async def _handle(self, image: ReceivedImage | RefusedImage | None, group: asyncio.TaskGroup) -> None:
        if image is None:
            return
        async with self._patience("took no answer"):
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
            with self._store.commits.examining():
                new = await self._store.keep_bytes(image)
        except ImageError as error:
            self._answer(RefusedImage(image.index, source, unacceptable(source, error)))
        except InvalidArgumentError as error:
            self._answer(RefusedImage(image.index, source, error))
        else:
            group.create_task(self._commit(image.index, new))

    async def _commit(self, index: int, image: NewImage) -> None:
        self._answer(answer_of(index, image, await self._store.commits.join(self._dataset, image, self._context)))

    def _answer(self, answer: Answer) -> None:
        outcome = "rejected" if isinstance(answer, RefusedImage) else "created" if answer.is_new else "unchanged"
        _images.labels(outcome).inc()
        self._answers.put_nowait(answer)
