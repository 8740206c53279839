"""Pictures of judged images: what is labelled on one and what a model says of it, drawn when they are asked for."""

import asyncio

import grpc
from sqlalchemy import select

from sightsmith.database import Database
from sightsmith.errors import FailedPreconditionError, NotFoundError
from sightsmith.images import ImageError, ImageLimits
from sightsmith.names import EvaluationName
from sightsmith.objects import Objects
from sightsmith_training.engine.evaluation_result import ImagePrediction
from sightsmith_training.engine.reports.image_outcomes import ImageOutcomes
from sightsmith_training.engine.reports.overlay import draw_overlay
from sightsmith_training.evaluations.matching import Rules, match
from sightsmith_training.evaluations.stored_evaluation import evaluation_row
from sightsmith_training.evaluations.storing import answer_of
from sightsmith_training.models import rules_of
from sightsmith_training.snapshots import SnapshotEntries
from sightsmith_training.tables import EvaluatedImageRow


class EvaluatedImageDrawing:
    """Draws the images that models were judged by."""

    def __init__(self, database: Database, objects: Objects, labeling: grpc.aio.Channel, limits: ImageLimits) -> None:
        """Prepares it.

        Args:
            database: where the evaluations are.
            objects: where the images are.
            labeling: a channel to the service that knows the snapshots.
            limits: of an image that is drawn on.
        """
        self._database = database
        self._objects = objects
        self._limits = limits
        self._entries = SnapshotEntries(objects, labeling)

    async def draw(self, name: EvaluationName, image: str) -> bytes:
        """Draws an image by the thresholds that the model has now.

        Args:
            name: of an evaluation.
            image: resource name of the image.

        Returns:
            A PNG.

        Raises:
            NotFoundError: if there is no such evaluation, or the image does not belong to it.
            FailedPreconditionError: if the image is not there any more, or is beyond the limits of today.
            UnavailableError: if labeling or the object store cannot be reached.
        """
        async with self._database.transaction() as session:
            model, evaluation = await evaluation_row(session, name)
            rules = rules_of(model)
            judged = await session.scalar(
                select(EvaluatedImageRow).where(
                    EvaluatedImageRow.evaluation_id == evaluation.id, EvaluatedImageRow.image == image
                )
            )
        if judged is None:
            raise NotFoundError(f"{name.of_model} was not judged by {image[:200]}")
        data = await self._bytes_of(evaluation.snapshot, image)
        try:
            return await asyncio.to_thread(_drawn, data, rules, answer_of(judged), self._limits)
        except ImageError as error:
            raise FailedPreconditionError(f"{image[:200]}: {error}", metadata={"name": image[:200]}) from error

    async def _bytes_of(self, snapshot: str, image: str) -> bytes:
        entry = await self._entries.find(snapshot, image)
        try:
            if entry is not None:
                return await self._objects.get(entry.key)
        except FileNotFoundError:
            pass
        raise FailedPreconditionError(f"{image[:200]} was deleted since", metadata={"name": image[:200]})


def _drawn(data: bytes, rules: Rules, answer: ImagePrediction, limits: ImageLimits) -> bytes:
    matches = match(rules, [answer])
    return draw_overlay(data, answer.width, answer.height, ImageOutcomes(matches).of(0), matches.labels, limits)
