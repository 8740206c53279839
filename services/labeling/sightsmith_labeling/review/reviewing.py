"""What people say of review items, and what comes of it."""

from collections.abc import Iterable

from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.actor import current_actor
from sightsmith.api.events.v1.event_pb2 import ReviewItemSettled
from sightsmith.database import Database, utc_now
from sightsmith.errors import AbortedError, FailedPreconditionError, FieldViolation, InvalidArgumentError
from sightsmith.events.outbox import tell
from sightsmith.images import ImageError
from sightsmith.names import ProjectName, ReviewItemName
from sightsmith.objects import Objects
from sightsmith_labeling import changes
from sightsmith_labeling.annotation_rules import annotation_violations
from sightsmith_labeling.annotations import NewAnnotation
from sightsmith_labeling.intake import Intake
from sightsmith_labeling.kept_image import KeptImage
from sightsmith_labeling.quotas import Quotas
from sightsmith_labeling.review.acceptance import become_labelled_image
from sightsmith_labeling.review.assigning import require_unsettled
from sightsmith_labeling.review.deciding import outcome
from sightsmith_labeling.review.item import Answer, ReviewItem, ReviewState, Verdict, is_corrected, stored_label
from sightsmith_labeling.review.items import ReviewItems, lock_items, with_reviews
from sightsmith_labeling.review.policies import ReviewPolicies
from sightsmith_labeling.review.requested import gone
from sightsmith_labeling.review.tables import ReviewItemRow, ReviewRow
from sightsmith_labeling.tables import Outbox

_MAX_COMMENT_LENGTH = 1000


class Reviewing:
    """Takes reviews, and settles items when enough people agree or somebody decides."""

    def __init__(
        self, database: Database, objects: Objects, intake: Intake, policies: ReviewPolicies, quotas: Quotas
    ) -> None:
        self._database = database
        self._objects = objects
        self._intake = intake
        self._policies = policies
        self._quotas = quotas
        self._items = ReviewItems(database)

    async def submit(self, name: ReviewItemName, reviewer: str, answer: Answer) -> ReviewItem:
        """Takes what a person says of an item, instead of what the person said before.

        Raises:
            NotFoundError: if the item does not exist.
            FailedPreconditionError: if it is settled, or its image is gone.
            InvalidArgumentError: if a label or a box is none that the image takes.
        """
        item = await self._items.get(name)
        kept = await self._kept_for(item, answer)
        self._check(answer, kept)
        async with self._database.transaction() as session:
            (row,) = await lock_items(session, [name])
            require_unsettled(row)
            await session.execute(_upsert(row.key, reviewer, answer))
            (item,) = await with_reviews(session, [row])
            required = await self._policies.required_reviews(session, name.project)
            state, taken = outcome(item.reviews, required)
            if taken is not None and taken.answer is not None:
                await self._settle(session, row, taken.answer, taken.reviewer, kept)
            else:
                row.state = state.value
            return (await with_reviews(session, [row]))[0]

    async def resolve(self, name: ReviewItemName, answer: Answer) -> ReviewItem:
        """Settles an item for the caller, whatever its reviewers said.

        Raises:
            NotFoundError: if the item does not exist.
            FailedPreconditionError: if it is settled already, or its image is gone.
            InvalidArgumentError: if the answer says nothing, or a label or a box is none that the image takes.
        """
        if not answer.counts:
            raise InvalidArgumentError.of_field("answer.verdict", "must be VERDICT_LABELLED or VERDICT_NONE")
        kept = await self._kept_for(await self._items.get(name), answer)
        self._check(answer, kept)
        async with self._database.transaction() as session:
            (row,) = await lock_items(session, [name])
            require_unsettled(row)
            await self._settle(session, row, answer, current_actor(), kept)
            return (await with_reviews(session, [row]))[0]

    async def _kept_for(self, item: ReviewItem, answer: Answer) -> KeptImage | None:
        """The item's image, checked and measured as every image of a dataset is; None if nobody says what it shows."""
        said = [answer, *(review.answer for review in item.reviews if review.answer is not None)]
        if all(words.verdict is not Verdict.LABELLED for words in said):
            return None
        prediction = item.prediction
        try:
            data = await self._objects.get(item.image_key)
        except FileNotFoundError as error:
            raise gone(item) from error
        origin = prediction.deployment or prediction.model or str(ProjectName(item.name.project))
        try:
            return await self._intake.keep(f"{origin}/predictions/{prediction.prediction_id}", data)
        except ImageError as error:
            # It passed inference, whose limits may be wider.
            raise FailedPreconditionError(
                f"no dataset takes the image of {item.name}: {error}", metadata={"state": item.state.name}
            ) from error

    def _check(self, answer: Answer, kept: KeptImage | None) -> None:
        violations = list(_shape_violations(answer))
        for index, (label, box) in enumerate(answer.labels):
            width, height = (kept.info.width, kept.info.height) if kept is not None else (None, None)
            for wrong in annotation_violations(NewAnnotation(label, box), width, height, self._quotas.label_length):
                violations.append(FieldViolation(f"answer.labels[{index}].{wrong.field}", wrong.description))
        if violations:
            message = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
            raise InvalidArgumentError(message, violations=violations)

    async def _settle(
        self, session: AsyncSession, row: ReviewItemRow, answer: Answer, decider: str, kept: KeptImage | None
    ) -> None:
        name, project = ReviewItemName(row.project, str(row.key)), ProjectName(row.project)
        row.state, row.decider, row.decide_time = ReviewState.REJECTED.value, decider, utc_now()
        row.true_labels = sorted({label for label, _ in answer.labels})
        if answer.verdict is Verdict.LABELLED:
            if kept is None:
                raise AbortedError(f"{name} was reviewed meanwhile; try again", metadata={"name": str(name)})
            image = await become_labelled_image(session, project, kept, answer.labels, decider, self._quotas)
            row.state, row.image = ReviewState.ACCEPTED.value, str(image)
        if (corrected := is_corrected(row)) is not None:
            fact = ReviewItemSettled(
                review_item=str(name), deployment=row.deployment, model=row.model, corrected=corrected
            )
            tell(session, Outbox, fact)
        labels = [stored_label(*content) for content in answer.labels]
        changes.record(
            session, row.project, name, f"review.{row.state}", image=row.image, labels=labels, decider=decider
        )


def _shape_violations(answer: Answer) -> Iterable[FieldViolation]:
    if answer.verdict is Verdict.LABELLED and not answer.labels:
        yield FieldViolation("answer.labels", "must hold at least one label with VERDICT_LABELLED")
    if answer.verdict is not Verdict.LABELLED and answer.labels:
        yield FieldViolation("answer.labels", "must be empty with any other verdict than VERDICT_LABELLED")
    if len(answer.comment) > _MAX_COMMENT_LENGTH:
        rule = f"must have at most {_MAX_COMMENT_LENGTH} characters, not {len(answer.comment)}"
        yield FieldViolation("answer.comment", rule)


def _upsert(item: int, reviewer: str, answer: Answer) -> Insert:
    values = {
        "verdict": answer.verdict.value,
        "labels": [stored_label(*content) for content in answer.labels],
        "comment": answer.comment,
        "submit_time": utc_now(),
        "expire_time": None,
    }
    new = insert(ReviewRow).values(item=item, reviewer=reviewer, assign_time=utc_now(), **values)
    return new.on_conflict_do_update(index_elements=["item", "reviewer"], set_=values)
