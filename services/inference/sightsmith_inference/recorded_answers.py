"""What a trained network said of stored images, as its training recorded it: a served model must say the same."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import grpc
from grpc import aio
from pydantic import TypeAdapter
from sqlalchemy.dialects.postgresql import insert

from sightsmith.api.labeling.v1 import labeling_service_pb2, labeling_service_pb2_grpc
from sightsmith.api.training.v1 import evaluation_pb2, finding_pb2, model_service_pb2, model_service_pb2_grpc
from sightsmith.database import Database
from sightsmith.rpc.channel import error_of
from sightsmith_inference.errors import dependency_unavailable
from sightsmith_inference.tables import RecordedAnswersRow

_TIMEOUT_SECONDS = 10.0
# Images may have been deleted since: so many times as many as are wanted are looked at.
_SPARE = 4
_GONE = {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT}


@dataclass(frozen=True)
class RecordedObject:
    """An object that was found.

    Attributes:
        label: what it is.
        confidence: 0 to 1.
        box: left, top, right, bottom in shares of the sides of the upright image.
    """

    label: str
    confidence: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class RecordedAnswer:
    """What a trained network said of one image.

    Attributes:
        image: the image, `projects/{project}/datasets/{dataset}/images/{image}`.
        sha256: of its bytes, under which they lie in the object store.
        scores: of every label, in the order of the model's labels; empty for detectors.
        objects: what a detector found at its thresholds, the surest first.
    """

    image: str
    sha256: str
    scores: tuple[float, ...] = ()
    objects: tuple[RecordedObject, ...] = ()


_ANSWERS = TypeAdapter(tuple[RecordedAnswer, ...])


class RecordedAnswers:
    """Asks the training service once for each model version, and keeps what it says."""

    def __init__(self, database: Database, training: aio.Channel, labeling: aio.Channel, images: int) -> None:
        """Prepares it.

        Args:
            database: where the answers are kept.
            training: a channel to the service that recorded them.
            labeling: a channel to the service that knows the images.
            images: how many images at most are kept for each model version.
        """
        self._database = database
        self._models = model_service_pb2_grpc.ModelServiceStub(training)
        self._labeling = labeling_service_pb2_grpc.LabelingServiceStub(labeling)
        self._images = images

    async def of(self, model: str) -> Sequence[RecordedAnswer]:
        """What was recorded for a model version that is staged.

        Returns:
            Answers for images that were there when they were first asked for. None for a model that was judged by
            cross-validation: then it was not the model itself that answered.

        Raises:
            UnavailableError: if training, labeling or the database cannot be asked.
        """
        async with self._database.transaction() as session:
            row = await session.get(RecordedAnswersRow, model)
        if row is not None:
            return _ANSWERS.validate_python(row.answers)
        answers = await self._fetch(model)
        keep = insert(RecordedAnswersRow).values(model=model, answers=_ANSWERS.dump_python(answers, mode="json"))
        async with self._database.transaction() as session:
            await session.execute(keep.on_conflict_do_nothing())
        return answers

    async def _fetch(self, model: str) -> tuple[RecordedAnswer, ...]:
        answers: list[RecordedAnswer] = []
        for judged in await self._judged(f"{model}/evaluation"):
            if len(answers) < self._images and (sha256 := await self._sha256_of(judged.image)):
                objects = tuple(_objects(judged))
                if judged.scores or objects:
                    answers.append(RecordedAnswer(judged.image, sha256, tuple(judged.scores), objects))
        return tuple(answers)

    async def _judged(self, evaluation: str) -> Sequence[evaluation_pb2.EvaluatedImage]:
        if self._images == 0:
            return ()
        about = model_service_pb2.GetEvaluationRequest(name=evaluation)
        images = model_service_pb2.ListEvaluatedImagesRequest(parent=evaluation, page_size=_SPARE * self._images)
        try:
            found = await self._models.GetEvaluation(about, timeout=_TIMEOUT_SECONDS)
            if found.basis != evaluation_pb2.Evaluation.BASIS_TEST:
                return ()
            page = await self._models.ListEvaluatedImages(images, timeout=_TIMEOUT_SECONDS)
        except aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return ()
            raise dependency_unavailable("training", error_of(error).message) from error
        return list(page.evaluated_images)

    async def _sha256_of(self, image: str) -> str | None:
        """The hash of an image's bytes; None if the image was deleted."""
        request = labeling_service_pb2.GetImageRequest(name=image)
        try:
            found = await self._labeling.GetImage(request, timeout=_TIMEOUT_SECONDS)
        except aio.AioRpcError as error:
            if error.code() in _GONE:
                return None
            raise dependency_unavailable("labeling", error_of(error).message) from error
        return str(found.sha256)


def _objects(judged: evaluation_pb2.EvaluatedImage) -> Iterator[RecordedObject]:
    if judged.scores or not judged.width or not judged.height:
        return
    for finding in judged.findings:
        if finding.HasField("predicted_box"):
            box = _shares(finding.predicted_box, judged.width, judged.height)
            yield RecordedObject(finding.label, finding.confidence, box)


def _shares(box: finding_pb2.BoundingBox, width: int, height: int) -> tuple[float, float, float, float]:
    right, bottom = box.left + box.width, box.top + box.height
    return box.left / width, box.top / height, right / width, bottom / height
