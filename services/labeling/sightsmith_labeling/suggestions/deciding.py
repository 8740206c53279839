"""Accepting, rejecting and correcting suggestions."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.actor import current_actor
from sightsmith.database import Database, utc_now
from sightsmith.errors import FailedPreconditionError, NotFoundError
from sightsmith.names import ImageName, ProjectName, SuggestionName
from sightsmith_labeling import changes
from sightsmith_labeling.annotations import Box, NewAnnotation, Origin
from sightsmith_labeling.edits import EditedImage, edit_images
from sightsmith_labeling.images import Image
from sightsmith_labeling.quotas import Quotas
from sightsmith_labeling.suggestions.suggestion import (
    Suggestion,
    SuggestionFilter,
    SuggestionState,
    box_of,
    sides_of,
    to_suggestion,
)
from sightsmith_labeling.suggestions.suggestions import conditions, require_all, with_image
from sightsmith_labeling.suggestions.tables import SuggestionRow
from sightsmith_labeling.tables import ImageRow

# In one transaction at most, so that images are not locked for long.
_TOGETHER = 500


class Decision(Enum):
    """What is decided."""

    ACCEPT = SuggestionState.ACCEPTED
    REJECT = SuggestionState.REJECTED


@dataclass(frozen=True)
class Decided:
    """What was decided, or would be: suggestions by label, and how many images they are about.

    Attributes:
        skipped: those of the named ones that were decided before.
    """

    labels: Counter[str]
    image_count: int
    skipped: Sequence[Suggestion] = ()


class _Tally:
    """Counts what is decided. The suggestions of one image may be in two batches."""

    def __init__(self) -> None:
        self._labels: Counter[str] = Counter()
        self._images: set[int] = set()

    def add(self, rows: Sequence[SuggestionRow]) -> None:
        self._labels.update(row.label for row in rows)
        self._images.update(row.image for row in rows)

    @property
    def decided(self) -> Decided:
        return Decided(self._labels, len(self._images))


class Decisions:
    """Decides suggestions. Whoever decides locks the images first and the suggestions then, as everybody does."""

    def __init__(self, database: Database, quotas: Quotas) -> None:
        self._database = database
        self._quotas = quotas

    async def preview(self, project: ProjectName, wanted: SuggestionFilter | Sequence[SuggestionName]) -> Decided:
        """What a decision would be about.

        Raises:
            NotFoundError: if one of the names does not exist.
        """
        async with self._database.transaction() as session:
            skipped: Sequence[Suggestion] = ()
            if isinstance(wanted, SuggestionFilter):
                chosen = conditions(project, _pending(wanted))
            else:
                keys = await require_all(session, project, wanted)
                chosen = [SuggestionRow.key.in_(keys), SuggestionRow.state == SuggestionState.PENDING.value]
                skipped = await _decided_before(session, keys)
            pending = with_image(*chosen).subquery()
            by_label = select(pending.c.label, func.count()).group_by(pending.c.label)
            labels: Counter[str] = Counter(dict((await session.execute(by_label)).tuples().all()))
            images = await session.scalar(select(func.count(pending.c.image.distinct())))
        return Decided(labels, images or 0, skipped)

    async def decide(
        self,
        project: ProjectName,
        wanted: SuggestionFilter | Sequence[SuggestionName],
        decision: Decision,
        etags: Mapping[ImageName, str],
    ) -> Decided:
        """Decides every one of them that is still pending.

        Named ones are decided all or, if anything is wrong, none; those of a filter in batches, each for good.

        Raises:
            NotFoundError: if one of the names does not exist.
            AbortedError: if an image was changed since its etag was read.
            InvalidArgumentError: if a label or a box is none that an image takes.
        """
        done = _Tally()
        async with self._database.transaction() as session:
            if not isinstance(wanted, SuggestionFilter):
                keys = await require_all(session, project, wanted)
                decided = await self._decide(session, project, keys, decision, etags)
                done.add(decided)
                others = set(keys) - {row.key for row in decided}
                return replace(done.decided, skipped=await _decided_before(session, others))
            keys = await _keys_of(session, project, _pending(wanted))
        for begin in range(0, len(keys), _TOGETHER):
            async with self._database.transaction() as session:
                done.add(await self._decide(session, project, keys[begin : begin + _TOGETHER], decision, {}))
        return done.decided

    async def correct(self, name: SuggestionName, label: str, box: Box | None, etag: str) -> tuple[Suggestion, Image]:
        """Puts something else on the image than was suggested.

        Args:
            name: the suggestion.
            label: the right label; as suggested if empty.
            box: the right box; as suggested if None.
            etag: that the image must still have; empty for any.

        Raises:
            NotFoundError: if there is no such suggestion.
            FailedPreconditionError: if it is decided already.
            AbortedError: if the image was changed since its etag was read.
            InvalidArgumentError: if the label or the box is none that the image takes.
        """
        project = ProjectName(name.project)
        async with self._database.transaction() as session:
            keys = await require_all(session, project, [name])
            locked = await _lock(session, keys)
            if not locked:
                # Replaced by another run of its model while we waited for the image.
                raise NotFoundError(str(name))
            ((row, image),) = locked
            if row.state != SuggestionState.PENDING:
                raise FailedPreconditionError(f"{name} is {row.state.upper()}", metadata={"state": row.state.upper()})
            right = NewAnnotation(label or row.label, box or box_of(row.box), Origin.PERSON)

            def put(edited_image: EditedImage) -> None:
                edited_image.add(right)

            (edited,) = await edit_images(
                session,
                project,
                [image],
                put,
                action="suggestions.correct",
                etags={image: etag},
                quotas=self._quotas,
            )
            row.state, row.decider, row.decide_time = SuggestionState.CORRECTED.value, current_actor(), utc_now()
            row.corrected_label, row.corrected_box = right.label, sides_of(right.box)
        return to_suggestion(row, image), edited

    async def _decide(
        self,
        session: AsyncSession,
        project: ProjectName,
        keys: Sequence[int],
        decision: Decision,
        etags: Mapping[ImageName, str],
    ) -> Sequence[SuggestionRow]:
        """Decides suggestions of these keys, and returns those that were pending."""
        pending = [
            (row, image) for row, image in await _lock(session, keys) if row.state == SuggestionState.PENDING.value
        ]
        images: dict[ImageName, list[SuggestionRow]] = {}
        for row, image in pending:
            images.setdefault(image, []).append(row)
        if decision is Decision.ACCEPT:
            await self._annotate(session, project, images, etags)
        elif pending:
            names = [str(SuggestionName(row.project, str(row.key))) for row, _ in pending]
            images_of = [image.image for image in images]
            changes.record_images(session, project.project, project, "suggestions.reject", images_of, suggestions=names)
        settled = update(SuggestionRow).where(SuggestionRow.key.in_([row.key for row, _ in pending]))
        values = {"state": decision.value.value, "decider": current_actor(), "decide_time": utc_now()}
        await session.execute(settled.values(values), execution_options={"synchronize_session": False})
        return [row for row, _ in pending]

    async def _annotate(
        self,
        session: AsyncSession,
        project: ProjectName,
        images: Mapping[ImageName, Sequence[SuggestionRow]],
        etags: Mapping[ImageName, str],
    ) -> None:
        def accept(image: EditedImage) -> None:
            for row in images[image.name]:
                image.add(NewAnnotation(row.label, box_of(row.box), Origin.MODEL, row.model, row.confidence))

        await edit_images(
            session,
            project,
            list(images),
            accept,
            action="suggestions.accept",
            etags=etags,
            quotas=self._quotas,
        )


async def _keys_of(session: AsyncSession, project: ProjectName, wanted: SuggestionFilter) -> Sequence[int]:
    """The keys of the suggestions of a filter, those of one image together."""
    found = with_image(*conditions(project, wanted)).with_only_columns(SuggestionRow.key)
    return (await session.scalars(found.order_by(SuggestionRow.image, SuggestionRow.key))).all()


def _pending(wanted: SuggestionFilter) -> SuggestionFilter:
    return replace(wanted, states=[SuggestionState.PENDING])


async def _decided_before(session: AsyncSession, keys: Collection[int]) -> Sequence[Suggestion]:
    """Those of the suggestions that are decided already, as they stand."""
    decided = with_image(SuggestionRow.key.in_(keys), SuggestionRow.state != SuggestionState.PENDING.value)
    rows = (await session.execute(decided.order_by(SuggestionRow.key))).tuples()
    return [to_suggestion(row, ImageName(row.project, dataset, image)) for row, dataset, image in rows]


async def _lock(session: AsyncSession, keys: Sequence[int]) -> Sequence[tuple[SuggestionRow, ImageName]]:
    """Locks the images of suggestions, in the order in which every edit does it, and then the suggestions."""
    images = select(SuggestionRow.image).where(SuggestionRow.key.in_(keys))
    in_order = select(ImageRow.sequence).where(ImageRow.sequence.in_(images)).order_by(ImageRow.sequence)
    await session.execute(in_order.with_for_update())
    suggestions = with_image(SuggestionRow.key.in_(keys)).order_by(SuggestionRow.key)
    rows = await session.execute(suggestions.with_for_update(of=SuggestionRow))
    return [(row, ImageName(row.project, dataset, image)) for row, dataset, image in rows.tuples()]
