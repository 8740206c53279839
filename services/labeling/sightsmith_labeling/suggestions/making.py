"""Making suggestions from predictions."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.actor import MAX_ACTOR_LENGTH
from sightsmith.database import Database
from sightsmith.errors import FieldViolation, InvalidArgumentError, NotFoundError
from sightsmith.names import DatasetName, ImageName, ProjectName
from sightsmith_labeling.annotation_rules import annotation_violations
from sightsmith_labeling.annotations import Box, NewAnnotation
from sightsmith_labeling.images import Image, images_named, to_image
from sightsmith_labeling.labels import label_names
from sightsmith_labeling.overlaps import Content, unmatched
from sightsmith_labeling.suggestions.suggestion import Suggestion, SuggestionState, box_of, sides_of, to_suggestion
from sightsmith_labeling.suggestions.tables import SuggestionRow
from sightsmith_labeling.tables import ImageRow


@dataclass(frozen=True)
class Predicted:
    """What a model saw on an image, and how sure it is: above 0, at most 1."""

    label: str
    confidence: float
    box: Box | None = None

    @property
    def content(self) -> Content:
        """What it says, however sure."""
        return self.label, self.box


class SuggestionMaker:
    """Takes predictions that a client brings."""

    def __init__(self, database: Database, max_label_length: int) -> None:
        self._database = database
        self._max_label_length = max_label_length

    async def take(
        self, project: ProjectName, model: str, predictions: Sequence[tuple[ImageName, Predicted]]
    ) -> Sequence[Suggestion]:
        """Makes suggestions of predictions, all or, if one of them is wrong, none; as `suggest` does it.

        Raises:
            InvalidArgumentError: with everything that is wrong with the predictions.
            NotFoundError: if an image does not exist.
        """
        found: dict[ImageName, list[Predicted]] = {}
        for image, predicted in predictions:
            found.setdefault(image, []).append(predicted)
        async with self._database.transaction() as session:
            images = await lock_images(session, project, tuple(found))
            for name in found:
                if name not in images:
                    raise NotFoundError(str(name))
            self._check(model, predictions, images)
            return await suggest(session, project, model, found, images)

    def _check(
        self,
        model: str,
        predictions: Sequence[tuple[ImageName, Predicted]],
        images: Mapping[ImageName, tuple[int, Image]],
    ) -> None:
        violations = []
        # It becomes the author of annotations.
        if not 0 < len(model) <= MAX_ACTOR_LENGTH or not model.isprintable():
            violations.append(FieldViolation("model", f"must be 1 to {MAX_ACTOR_LENGTH} printable characters"))
        for index, (name, predicted) in enumerate(predictions):
            _, image = images[name]
            new = NewAnnotation(predicted.label, predicted.box)
            wrong = list(annotation_violations(new, image.width, image.height, self._max_label_length))
            # Not a number compares false with everything, and so is found too.
            if not 0 < predicted.confidence <= 1:
                wrong.append(FieldViolation("confidence", f"must be above 0 and at most 1, not {predicted.confidence}"))
            violations += [
                FieldViolation(f"suggestions[{index}].{violation.field}", violation.description) for violation in wrong
            ]
        if violations:
            message = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
            raise InvalidArgumentError(message, violations=violations)


async def lock_images(
    session: AsyncSession, project: ProjectName, names: Sequence[ImageName]
) -> Mapping[ImageName, tuple[int, Image]]:
    """Locks images until the transaction ends, as every edit does; each comes with its key, if it is there at all."""
    locked = images_named(project, names).order_by(ImageRow.sequence).with_for_update(of=ImageRow)
    labels = await label_names(session, project.project)
    images = {}
    for row, dataset in (await session.execute(locked)).tuples():
        image = to_image(DatasetName(project.project, dataset), row, labels)
        images[image.name] = (row.sequence, image)
    return images


async def suggest(
    session: AsyncSession,
    project: ProjectName,
    model: str,
    found: Mapping[ImageName, Sequence[Predicted]],
    images: Mapping[ImageName, tuple[int, Image]],
) -> Sequence[Suggestion]:
    """Makes suggestions of what a model saw on images, which are locked.

    They replace those that the model made for these images before and that nobody has decided. What an image carries
    already makes no suggestion, nor does what was decided of the same model before.

    Returns:
        The new ones.
    """
    keys = {sequence: name for name, (sequence, _) in images.items() if name in found}
    ours = SuggestionRow.image.in_(keys) & (SuggestionRow.model == model)
    await session.execute(delete(SuggestionRow).where(ours, SuggestionRow.state == SuggestionState.PENDING.value))
    decided: dict[int, list[Content]] = {}
    for row in await session.scalars(select(SuggestionRow).where(ours)):
        decided.setdefault(row.image, []).append((row.label, box_of(row.box)))
    rows = []
    for sequence, name in keys.items():
        _, image = images[name]
        known = [annotation.content for annotation in image.annotations] + decided.get(sequence, [])
        rows += [
            {
                "project": project.project,
                "image": sequence,
                "label": predicted.label,
                "box": sides_of(predicted.box),
                "confidence": predicted.confidence,
                "model": model,
            }
            for predicted in _new(found[name], known)
        ]
    if not rows:
        return []
    made = await session.scalars(insert(SuggestionRow).returning(SuggestionRow, sort_by_parameter_order=True), rows)
    return [to_suggestion(row, keys[row.image]) for row in made]


def _new(found: Sequence[Predicted], known: Sequence[Content]) -> Collection[Predicted]:
    """What is news among the things that a model saw, the most certain first; the same is said once."""
    best: dict[Content, Predicted] = {}
    for predicted in sorted(found, key=lambda predicted: -predicted.confidence):
        best.setdefault(predicted.content, predicted)
    news, _ = unmatched(list(best), known)
    return [best[content] for content in news]
