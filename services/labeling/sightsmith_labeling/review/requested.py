"""Reviews that a client asks for, and the images of review items."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from sightsmith.errors import FailedPreconditionError, FieldViolation, InvalidArgumentError
from sightsmith.images import ImageError
from sightsmith.names import ProjectName, ReviewItemName
from sightsmith.objects import Objects
from sightsmith_labeling.annotation_rules import annotation_violations
from sightsmith_labeling.annotations import NewAnnotation
from sightsmith_labeling.intake import Intake
from sightsmith_labeling.kept_image import KeptImage
from sightsmith_labeling.review.item import Prediction, ReviewItem
from sightsmith_labeling.review.items import ReviewItems


class RequestedReviews:
    """Takes predictions that a client wants people to look at."""

    def __init__(self, items: ReviewItems, intake: Intake, objects: Objects, max_label_length: int) -> None:
        self._items = items
        self._intake = intake
        self._objects = objects
        self._max_label_length = max_label_length

    async def request(self, project: ProjectName, prediction: Prediction, image: bytes) -> ReviewItem:
        """Puts a prediction into the queue.

        Args:
            project: whose queue.
            prediction: what a model said.
            image: the encoded image.

        Raises:
            InvalidArgumentError: if the image or something that the model said cannot be.
            NotFoundError: if the project does not exist.
            AlreadyExistsError: if the queue had that prediction, or has the image from the same model.
        """
        try:
            kept = await self._intake.keep(prediction.prediction_id, image)
        except ImageError as error:
            refused = InvalidArgumentError.of_field("image_content", str(error), error.reason)
            refused.metadata = error.metadata
            raise refused from error
        self._check(prediction, kept)
        return await self._items.create(project, kept.sha256, prediction)

    async def image(self, name: ReviewItemName) -> AsyncGenerator[bytes, None]:
        """The bytes of an item's image, in chunks of at most 1 MiB.

        Raises:
            NotFoundError: if the item does not exist.
            FailedPreconditionError: if the image is gone.
        """
        item = await self._items.get(name)
        try:
            async with aclosing(self._objects.chunks(item.image_key)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except FileNotFoundError as error:
            raise gone(item) from error

    async def thumbnail(self, name: ReviewItemName) -> bytes:
        """The small picture of an item's image: a JPEG, upright.

        Raises:
            NotFoundError: if the item does not exist.
            FailedPreconditionError: if the image is gone.
        """
        item = await self._items.get(name)
        try:
            if item.expire_time is not None:
                # Whatever was made of it would outlive it.
                return await self._intake.shrunk(await self._objects.get(item.image_key))
            return await self._intake.thumbnail(item.sha256)
        except FileNotFoundError as error:
            raise gone(item) from error

    def _check(self, prediction: Prediction, kept: KeptImage) -> None:
        violations = []
        for index, seen in enumerate(prediction.predictions):
            new = NewAnnotation(seen.label, seen.box, confidence=seen.confidence)
            for wrong in annotation_violations(new, kept.info.width, kept.info.height, self._max_label_length):
                field = f"review_item.predictions[{index}].{wrong.field}"
                violations.append(FieldViolation(field, wrong.description))
        if violations:
            message = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
            raise InvalidArgumentError(message, violations=violations)


def gone(item: ReviewItem) -> FailedPreconditionError:
    """The error of an item whose image is gone."""
    return FailedPreconditionError(
        f"the image of {item.name} is not in the object store", metadata={"state": item.state.name}
    )
