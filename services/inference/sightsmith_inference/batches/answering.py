"""Answering the images of a shard, however long that takes: what is away is waited for, calls of clients go first."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from google.rpc import code_pb2

from sightsmith.errors import SightsmithError, UnavailableError
from sightsmith.images import ImageLimits, upright_size
from sightsmith.names import DeploymentName
from sightsmith_inference.batches.fetching import Fetcher
from sightsmith_inference.batches.job import BatchRequest
from sightsmith_inference.batches.metered_triton import MeteredTriton
from sightsmith_inference.batches.patience import patiently, will_pass
from sightsmith_inference.batches.result_lines import Answered
from sightsmith_inference.batches.sources import Item
from sightsmith_inference.deployments import Deployments
from sightsmith_inference.predictor import Outcome, Predictor
from sightsmith_inference.ranking import Prediction, Wish

_UNSERVABLE = "MODEL_NOT_SERVABLE"
_UNSERVABLE_TRIES = 3


@dataclass(frozen=True)
class Courtesy:
    """How much of its time a worker uses while clients wait for predictions in the same process.

    Attributes:
        share: above 0, at most 1.
        are_clients_waiting: whether they do now.
    """

    share: float
    are_clients_waiting: Callable[[], bool]

    async def after(self, seconds: float) -> None:
        """Makes room after so much work."""
        if self.are_clients_waiting():
            await asyncio.sleep(seconds * (1 / self.share - 1))


class Answerer:
    """Answers images. One shard at a time, so that the time of each is known."""

    def __init__(
        self,
        predictor: Predictor,
        triton: MeteredTriton,
        fetcher: Fetcher,
        deployments: Deployments,
        courtesy: Courtesy,
        image_limits: ImageLimits,
        chunk_images: int,
        max_outage_seconds: float,
    ) -> None:
        """Puts the parts together.

        Args:
            predictor: answers.
            triton: which it asks, and nobody else does.
            fetcher: reads the images.
            deployments: tells whether there is any hope for one that does not answer.
            courtesy: towards clients that wait for predictions.
            image_limits: what an image may be.
            chunk_images: how many images are read and answered at once.
            max_outage_seconds: how long to wait for what is away.
        """
        self._predictor = predictor
        self._triton = triton
        self._fetcher = fetcher
        self._deployments = deployments
        self._courtesy = courtesy
        self._image_limits = image_limits
        self._chunk_images = chunk_images
        self._max_outage_seconds = max_outage_seconds

    @property
    def model_seconds(self) -> float:
        """How long Triton was asked so far, in all."""
        return self._triton.seconds

    async def answers(self, request: BatchRequest, items: Sequence[Item]) -> AsyncIterator[Answered]:
        """What becomes of each image, in their order. The next images are read while some are answered.

        Raises:
            NotFoundError: if the deployment is not there any more.
            FailedPreconditionError: if the deployment has failed, or was stopped.
            UnavailableError: if something that is needed was away for too long; so other errors that will pass.
        """
        chunks = [items[begin : begin + self._chunk_images] for begin in range(0, len(items), self._chunk_images)]
        coming = asyncio.create_task(self._fetch(request.project, chunks[0]))
        try:
            for number, chunk in enumerate(chunks, 1):
                images = await coming
                if number < len(chunks):
                    coming = asyncio.create_task(self._fetch(request.project, chunks[number]))
                begin = time.monotonic()
                for answered in await self._answer(request, chunk, images):
                    yield answered
                await self._courtesy.after(time.monotonic() - begin)
        finally:
            coming.cancel()

    async def _fetch(self, project: str, items: Sequence[Item]) -> list[bytes | SightsmithError]:
        return await patiently(lambda: self._fetcher.fetch(project, items), self._max_outage_seconds)

    async def _answer(
        self, request: BatchRequest, items: Sequence[Item], images: Sequence[bytes | SightsmithError]
    ) -> list[Answered]:
        there = [image for image in images if not isinstance(image, SightsmithError)]
        outcomes = iter(await self._predict(request, there) if there else ())
        answered = []
        for item, image in zip(items, images, strict=True):
            if isinstance(image, SightsmithError):
                answered.append(Answered(item, "", image))
                continue
            model, outcome = next(outcomes)
            answered.append(Answered(item, model, outcome, await self._size_of(image, outcome)))
        return answered

    async def _predict(self, request: BatchRequest, images: Sequence[bytes]) -> list[tuple[str, Outcome]]:
        """The model that answered each image, and what it said."""
        deployment = DeploymentName.parse(request.deployment)
        wish = Wish(request.min_confidence)
        hope = _Hope(self._deployments, deployment)
        try:
            answer = await patiently(
                lambda: self._predictor.predict_batch(deployment, images, wish, None, skip_sampling=True),
                self._max_outage_seconds,
                hope.is_there_after,
            )
        except UnavailableError as error:
            if error.reason != _UNSERVABLE:
                raise
            if len(images) == 1:
                return [("", error)]
            # One image that the model cannot answer must not take the others with it.
            half = len(images) // 2
            return [*await self._predict(request, images[:half]), *await self._predict(request, images[half:])]
        return [(answer.model, _wanted(outcome, request)) for outcome in answer.outcomes]

    async def _size_of(self, image: bytes, outcome: Outcome) -> tuple[int, int] | None:
        if isinstance(outcome, SightsmithError) or all(prediction.box is None for prediction in outcome):
            return None
        return await asyncio.to_thread(upright_size, image, self._image_limits)


class _Hope:
    """Whether a deployment that does not answer may answer later."""

    def __init__(self, deployments: Deployments, name: DeploymentName) -> None:
        self._deployments = deployments
        self._name = name
        self._unservable = 0

    async def is_there_after(self, error: SightsmithError) -> bool:
        """Looks after an error whether to try again.

        Raises:
            NotFoundError: if the deployment is gone.
            FailedPreconditionError: if the deployment has failed, or was stopped.
        """
        self._unservable += error.reason == _UNSERVABLE
        # A deployment that is not found may be too new for this process; the database knows.
        if not will_pass(error) and error.code != code_pb2.NOT_FOUND:
            return False
        await self._look()
        return self._unservable < _UNSERVABLE_TRIES

    async def _look(self) -> None:
        try:
            deployment = await self._deployments.get(self._name)
        except UnavailableError:
            return
        deployment.require_hope()


def _wanted(outcome: Outcome, request: BatchRequest) -> Outcome:
    """What a job asks for of an answer."""
    if isinstance(outcome, SightsmithError):
        return outcome
    chosen: tuple[Prediction, ...] = tuple(
        prediction for prediction in outcome if not request.labels or prediction.label in request.labels
    )
    return chosen[: request.max_results or None]
