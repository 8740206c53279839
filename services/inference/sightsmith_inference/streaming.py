"""Streams of predictions: images are read as fast as their answers are taken, and never faster."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sightsmith.errors import DeadlineExceededError, SightsmithError, UnavailableError
from sightsmith.names import DeploymentName
from sightsmith_inference.deployment import DeploymentState
from sightsmith_inference.predictor import Answer, GivenImage, NamedImage, Outcome, Predictor, size_of
from sightsmith_inference.ranking import Wish
from sightsmith_inference.room import Held, Room
from sightsmith_inference.routes import Routes
from sightsmith_inference.settings import InferenceSettings

_PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class Question:
    """What is asked about every image of a stream.

    Attributes:
        deployment: who is to answer.
        wish: which labels are wanted; checked, but for its labels.
        skip_sampling: whether nothing is kept for review, whatever the policy of the deployment.
        alias: which of the deployment's model versions is to answer; empty for whichever the traffic falls to.
    """

    deployment: DeploymentName
    wish: Wish
    skip_sampling: bool = False
    alias: str = ""


@dataclass(frozen=True)
class StreamedImage:
    """An image of a stream: what the client knows it by, and the image as it gives it, or why it is none."""

    id: str
    image: GivenImage | SightsmithError


@dataclass(frozen=True)
class StreamedAnswer:
    """What is in an image of a stream.

    Attributes:
        id: what the client knows the image by.
        index: position in the stream, from 0.
        outcome: its labels, or why there are none.
        model: the model that answered.
        alias: under which it did.
    """

    id: str
    index: int
    outcome: Outcome
    model: str
    alias: str


Write = Callable[[StreamedAnswer], Awaitable[None]]


class PredictionStreams:
    """Answers for streams of images."""

    def __init__(self, settings: InferenceSettings, routes: Routes, room: Room, predictor: Predictor) -> None:
        self._settings = settings
        self._routes = routes
        self._room = room
        self._predictor = predictor

    async def run(self, question: Question, images: AsyncIterator[StreamedImage], write: Write) -> None:
        """Answers for a stream of images until it ends, in their order. A bad image has an error for its outcome.

        Args:
            question: what is asked.
            images: read when there is room for them.
            write: takes an answer; while it does not return, nothing more than the window is read.

        Raises:
            SightsmithError: whatever ends the stream, once the images before it are answered: those of
                `Predictor.predict`, those of `images`, and DeadlineExceededError if the client is silent for too long.
        """
        await _Stream(self._settings, self._routes, self._room, self._predictor, question).run(images, write)


@dataclass(frozen=True)
class _Waiting:
    """An image that was read and is to be answered."""

    id: str
    index: int
    image: NamedImage
    held: Held


class _Stream:
    """One stream: a reader, a part that asks about several images together, and a writer, with queues between them."""

    def __init__(
        self, settings: InferenceSettings, routes: Routes, room: Room, predictor: Predictor, question: Question
    ) -> None:
        self._settings = settings
        self._routes = routes
        self._room = room
        self._predictor = predictor
        self._question = question
        self._window = asyncio.Semaphore(settings.stream_window_images)
        # As many chunks at once as any other call may have.
        self._few = asyncio.Semaphore(settings.max_chunks_in_flight)
        # Both are bounded by the window. None is their end.
        self._read: asyncio.Queue[_Waiting | None] = asyncio.Queue()
        self._asked: asyncio.Queue[asyncio.Task[Sequence[StreamedAnswer] | SightsmithError] | None] = asyncio.Queue()
        self._trouble: SightsmithError | None = None
        self._held: set[Held] = set()

    async def run(self, images: AsyncIterator[StreamedImage], write: Write) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read_all(images))
                group.create_task(self._ask_about_all(group))
                await self._write_all(write)
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        finally:
            # Of a stream that was cut off: nothing of it is worked on any more.
            for held in self._held:
                held.release()

    async def _read_all(self, images: AsyncIterator[StreamedImage]) -> None:
        index = 0
        try:
            while (image := await self._next(images)) is not None:
                located = await self._locate(image)
                held = await self._room.take_patiently(size_of(located[0]))
                self._held.add(held)
                self._read.put_nowait(_Waiting(image.id, index, located, held))
                index += 1
        except SightsmithError as error:
            self._trouble = error
        self._read.put_nowait(None)

    async def _next(self, images: AsyncIterator[StreamedImage]) -> StreamedImage | None:
        await self._window.acquire()
        async with _patience(self._settings.stream_idle_seconds, "sent no image"):
            return await anext(images, None)

    async def _locate(self, image: StreamedImage) -> NamedImage:
        if isinstance(image.image, SightsmithError):
            return image.image, ""
        field = "image" if isinstance(image.image, bytes) else "reference"
        (located,) = await self._predictor.locate(self._question.deployment, [(image.image, field)])
        return located

    async def _ask_about_all(self, group: asyncio.TaskGroup) -> None:
        await self._few.acquire()
        while chunk := await self._next_chunk():
            self._asked.put_nowait(group.create_task(self._ask(chunk)))
            # Only now are more put together: what is read meanwhile makes the next chunk a full one.
            await self._few.acquire()
        self._asked.put_nowait(None)

    async def _next_chunk(self) -> Sequence[_Waiting]:
        """Images to ask about together: as many as the model takes at once, or fewer if no more come soon."""
        first = await self._read.get()
        if first is None:
            return ()
        chunk, size = [first], self._chunk_size()
        try:
            async with asyncio.timeout(self._settings.stream_linger_seconds):
                while len(chunk) < size:
                    another = await self._read.get()
                    if another is None:
                        self._read.put_nowait(None)
                        break
                    chunk.append(another)
        except TimeoutError:
            pass
        return chunk

    def _chunk_size(self) -> int:
        try:
            with self._routes.using(self._question.deployment, self._question.alias) as model:
                return model.max_batch_size
        except SightsmithError:
            # Whoever asks about the chunk says it.
            return 1

    async def _ask(self, chunk: Sequence[_Waiting]) -> Sequence[StreamedAnswer] | SightsmithError:
        try:
            answer = await self._answer([waiting.image for waiting in chunk])
        except SightsmithError as error:
            # Not raised here: the images before it are still to be answered.
            return error
        finally:
            self._few.release()
            for waiting in chunk:
                waiting.held.release()
                self._held.discard(waiting.held)
        return [
            StreamedAnswer(waiting.id, waiting.index, outcome, answer.model, answer.alias)
            for waiting, outcome in zip(chunk, answer.outcomes, strict=True)
        ]

    async def _answer(self, images: Sequence[NamedImage]) -> Answer:
        """Asks about a chunk, once the deployment is back if the inference server has just lost its model."""
        give_up = time.monotonic() + self._settings.triton_retry_seconds
        while True:
            try:
                return await self._predictor.answer(
                    self._question.deployment,
                    images,
                    self._question.wish,
                    None,
                    skip_sampling=self._question.skip_sampling,
                    alias=self._question.alias,
                )
            except UnavailableError as error:
                if error.metadata.get("state") != DeploymentState.STARTING or time.monotonic() >= give_up:
                    raise
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _write_all(self, write: Write) -> None:
        while (task := await self._asked.get()) is not None:
            answers = await task
            if isinstance(answers, SightsmithError):
                raise answers
            for answer in answers:
                async with _patience(self._settings.stream_idle_seconds, "took no answer"):
                    await write(answer)
                self._window.release()
        if self._trouble is not None:
            raise self._trouble


@asynccontextmanager
async def _patience(seconds: float, failing: str) -> AsyncIterator[None]:
    """Ends a stream whose client is silent for too long."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise DeadlineExceededError(f"the client {failing} for {seconds:g} seconds") from None
