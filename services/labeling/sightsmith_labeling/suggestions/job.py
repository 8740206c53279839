"""The job that has a deployed model look at images."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from google.rpc import code_pb2
from grpc import aio
from sqlalchemy import Select, func, select

from sightsmith.api.inference.v1.prediction_service_pb2 import BatchPredictRequest, BatchPredictResponse, BoundingBox
from sightsmith.api.inference.v1.prediction_service_pb2_grpc import PredictionServiceStub
from sightsmith.database import Database
from sightsmith.errors import NotFoundError, SightsmithError, UnavailableError
from sightsmith.names import DatasetName, ImageName, ProjectName
from sightsmith.objects import Objects, image_key
from sightsmith.rpc.channel import error_of
from sightsmith_labeling.annotations import Box
from sightsmith_labeling.images import images_named
from sightsmith_labeling.jobs.finding import Finding, Severity
from sightsmith_labeling.jobs.running import RunningJob
from sightsmith_labeling.suggestions.making import Predicted, lock_images, suggest
from sightsmith_labeling.tables import DatasetRow, ImageRow

KIND = "suggestionJobs"

_BATCH_IMAGES = 32
_TIMEOUT_SECONDS = 120.0
_REST_SECONDS = 1.0


@dataclass(frozen=True)
class SuggestionSpec:
    """What a job is to do.

    Attributes:
        deployment: who is asked.
        dataset: whose images are looked at; empty for every dataset of the project.
        images: these instead, labelled or not; empty for all of the dataset.
        min_confidence: predictions below it make no suggestion.
        include_labelled: whether images that carry a label are looked at too.
        max_images: how many at most; 0 for all.
    """

    deployment: str
    dataset: str
    images: Sequence[str]
    min_confidence: float
    include_labelled: bool
    max_images: int


@dataclass(frozen=True)
class SuggestionCounts:
    """How far a job has come.

    Attributes:
        after: the place of the last image that was looked at, in the order of arrival.
        images: that were looked at.
        suggestions: that were made.
        failed: images that could not be looked at.
    """

    after: int = 0
    images: int = 0
    suggestions: int = 0
    failed: int = 0


@dataclass(frozen=True)
class _ToLookAt:
    sequence: int
    name: ImageName
    sha256: str
    size_bytes: int
    width: int
    height: int


class SuggestionJobs:
    """Asks inference what is in images, and makes suggestions of what it is sure enough of."""

    name: ClassVar[str] = KIND

    def __init__(self, database: Database, objects: Objects, inference: aio.Channel, max_message_bytes: int) -> None:
        """Prepares everything; nothing is asked yet.

        Args:
            database: where images and suggestions are.
            objects: where the bytes are.
            inference: the channel to the inference service.
            max_message_bytes: how much it takes at once.
        """
        self._database = database
        self._objects = objects
        self._predictions = PredictionServiceStub(inference)
        # A message holds more than the images; a single image that is larger is refused by the service itself.
        self._batch_bytes = max_message_bytes // 2

    async def run(self, job: RunningJob) -> Mapping[str, Any]:
        """Looks at the images in the order of their arrival, a batch and a transaction at a time."""
        spec = SuggestionSpec(**job.spec)
        counts = SuggestionCounts(**job.checkpoint)
        total = await self._count(job.project, spec, counts)
        while batch := await self._next_batch(job.project, spec, counts):
            await job.advance("looking at images", counts.images, total)
            counts = await self._look_at(job, spec, batch, counts)
        return asdict(counts)

    async def _count(self, project: ProjectName, spec: SuggestionSpec, counts: SuggestionCounts) -> int:
        rest = _images(project, spec, counts.after).subquery()
        async with self._database.transaction() as session:
            left = await session.scalar(select(func.count()).select_from(rest)) or 0
        return min(counts.images + left, spec.max_images or counts.images + left)

    async def _next_batch(
        self, project: ProjectName, spec: SuggestionSpec, counts: SuggestionCounts
    ) -> Sequence[_ToLookAt]:
        limit = _BATCH_IMAGES
        if spec.max_images:
            limit = min(limit, spec.max_images - counts.images)
        query = _images(project, spec, counts.after).order_by(ImageRow.sequence).limit(limit)
        async with self._database.transaction() as session:
            rows = (await session.execute(query)).all()
        batch: list[_ToLookAt] = []
        size = 0
        for sequence, dataset, image, sha256, size_bytes, width, height in rows:
            size += size_bytes
            if batch and size > self._batch_bytes:
                break
            name = ImageName(project.project, dataset, image)
            batch.append(_ToLookAt(sequence, name, sha256, size_bytes, width, height))
        return batch

    async def _look_at(
        self, job: RunningJob, spec: SuggestionSpec, batch: Sequence[_ToLookAt], counts: SuggestionCounts
    ) -> SuggestionCounts:
        model, outcomes = await self._ask(spec, batch)
        found = {name: predictions for name, predictions in outcomes.items() if not isinstance(predictions, Finding)}
        problems = [outcome for outcome in outcomes.values() if isinstance(outcome, Finding)]
        checkpoint: dict[str, Any] = {}
        async with job.step(checkpoint) as step:
            images = await lock_images(step.session, job.project, tuple(found))
            made = await suggest(step.session, job.project, model, found, images)
            for problem in problems:
                step.find(problem)
            counts = SuggestionCounts(
                after=batch[-1].sequence,
                images=counts.images + len(batch),
                suggestions=counts.suggestions + len(made),
                failed=counts.failed + len(problems),
            )
            step.result = asdict(counts)
            checkpoint.update(step.result)
        return counts

    async def _ask(
        self, spec: SuggestionSpec, batch: Sequence[_ToLookAt]
    ) -> tuple[str, Mapping[ImageName, Sequence[Predicted] | Finding]]:
        """What a deployment sees on images, or why it cannot be told; and the model that answered."""
        data = await asyncio.gather(*(self._bytes_of(image) for image in batch))
        there = [(image, content) for image, content in zip(batch, data, strict=True) if content is not None]
        missing = {
            image.name: _problem(image.name, "IMAGE_MISSING", "the bytes of the image are not in the object store")
            for image, content in zip(batch, data, strict=True)
            if content is None
        }
        if not there:
            return "", missing
        try:
            response = await self._predict(spec, [content for _, content in there])
        except SightsmithError as error:
            # One image is too much for a message: it is left out, not the whole job given up.
            if error.code == code_pb2.RESOURCE_EXHAUSTED and len(there) == 1:
                alone = there[0][0].name
                return "", {**missing, alone: _problem(alone, error.reason, error.message)}
            raise
        results = zip(there, response.results, strict=True)
        return response.model, {**missing, **{image.name: _outcome(image, result) for (image, _), result in results}}

    async def _bytes_of(self, image: _ToLookAt) -> bytes | None:
        try:
            return await self._objects.get(image_key(image.sha256))
        except FileNotFoundError:
            return None

    async def _predict(self, spec: SuggestionSpec, images: Sequence[bytes]) -> BatchPredictResponse:
        """Asks once, and again for as long as the service has its hands full.

        Raises:
            UnavailableError: if the service, or the deployment, does not answer now; the job is tried again.
            SightsmithError: if it never will.
        """
        request = BatchPredictRequest(
            deployment=spec.deployment, images=images, min_confidence=spec.min_confidence, skip_sampling=True
        )
        while True:
            try:
                return await self._predictions.BatchPredict(request, timeout=_TIMEOUT_SECONDS)
            except aio.AioRpcError as call_error:
                error = error_of(call_error)
                if error.reason == "OVERLOADED":
                    await asyncio.sleep(_REST_SECONDS)
                    continue
                if error.code in (code_pb2.UNAVAILABLE, code_pb2.DEADLINE_EXCEEDED):
                    raise UnavailableError(error.message, reason=error.reason, metadata=error.metadata) from call_error
                if error.code == code_pb2.NOT_FOUND:
                    raise NotFoundError(spec.deployment) from call_error
                raise error from call_error


def _images(project: ProjectName, spec: SuggestionSpec, after: int) -> Select[Any]:
    """The images that a job is still to look at."""
    conditions = [ImageRow.state == "ready", ImageRow.sequence > after]
    if spec.dataset:
        conditions.append(DatasetRow.id == DatasetName.parse(spec.dataset).dataset)
    if not spec.images and not spec.include_labelled:
        conditions.append(ImageRow.is_labelled.is_(False))
    of_project = (
        select(ImageRow, DatasetRow.id)
        .join(DatasetRow, DatasetRow.key == ImageRow.dataset)
        .where(DatasetRow.project == project.project)
    )
    wanted = images_named(project, [ImageName.parse(name) for name in spec.images]) if spec.images else of_project
    content = (ImageRow.sha256, ImageRow.size_bytes, ImageRow.width, ImageRow.height)
    columns = (ImageRow.sequence, DatasetRow.id, ImageRow.id, *content)
    return wanted.where(*conditions).with_only_columns(*columns)  # type: ignore[return-value]


def _outcome(image: _ToLookAt, result: BatchPredictResponse.Result) -> Sequence[Predicted] | Finding:
    if result.HasField("error"):
        return _problem(image.name, "IMAGE_NOT_PREDICTED", result.error.message)
    return [
        Predicted(found.label, found.confidence, _pixels(found.box, image) if found.HasField("box") else None)
        for found in result.predictions
        # A score that rounds to nothing is no suggestion.
        if found.confidence > 0
    ]


def _pixels(box: BoundingBox, image: _ToLookAt) -> Box:
    """A box in shares of the image's sides, in pixels."""
    return Box(box.left * image.width, box.top * image.height, box.width * image.width, box.height * image.height)


def _problem(image: ImageName, code: str, message: str) -> Finding:
    return Finding(Severity.WARNING, code, message, resource=str(image))
