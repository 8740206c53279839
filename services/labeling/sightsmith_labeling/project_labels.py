"""The labels that a project knows: creating, renaming, merging and deleting them."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database
from sightsmith.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from sightsmith.names import LabelName, ProjectName
from sightsmith.paging import PageRequest, page_of
from sightsmith_labeling import changes
from sightsmith_labeling.annotation_rules import check_label
from sightsmith_labeling.arrays import is_one_of_keys, is_one_of_texts
from sightsmith_labeling.constraints import violated_constraint
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.labels import require_room_for_labels
from sightsmith_labeling.page_keys import text_after, text_key
from sightsmith_labeling.projects import require_project
from sightsmith_labeling.quotas import Quotas
from sightsmith_labeling.reading import one_moment
from sightsmith_labeling.relabelling import Relabelling
from sightsmith_labeling.tables import DatasetRow, LabelRow, LabelTallyRow

_FIELD = "label.display_name"


@dataclass(frozen=True)
class SplitCount:
    """How often a label is used in the dataset of a split; see `LabelStatistics`."""

    split: Split
    image_count: int
    box_count: int


@dataclass(frozen=True)
class Label:
    """What images can be annotated with."""

    name: LabelName
    display_name: str
    create_time: datetime
    split_counts: Sequence[SplitCount]

    @property
    def image_count(self) -> int:
        """Images that carry it, in all datasets."""
        return sum(count.image_count for count in self.split_counts)


class Labels:
    """The labels in the database."""

    def __init__(self, database: Database, quotas: Quotas) -> None:
        self._database = database
        self._quotas = quotas

    async def create(self, project: ProjectName, display_name: str) -> Label:
        """Creates a label.

        Raises:
            InvalidArgumentError: if it cannot be called that.
            NotFoundError: if the project does not exist.
            AlreadyExistsError: if the project has a label that is called that.
            ResourceExhaustedError: if the project has as many labels as it may.
        """
        check_label(_FIELD, display_name, self._quotas.label_length)
        row = LabelRow(project=project.project, name=display_name)
        try:
            async with self._database.transaction() as session:
                await require_room_for_labels(session, project.project, 1, self._quotas.labels_per_project)
                session.add(row)
                await session.flush()
                changes.record(session, project.project, _name_of(row), "labels.create", display_name=display_name)
        except IntegrityError as error:
            if violated_constraint(error) == "fk_labels_project":
                raise NotFoundError(str(project)) from error
            raise await self._conflict(project, display_name) from error
        return await self.get(_name_of(row))

    async def get(self, name: LabelName) -> Label:
        """Returns a label with its counts.

        Raises:
            NotFoundError: if it does not exist.
        """
        async with one_moment(self._database) as session:
            (label,) = await _with_counts(session, name.project, [await _find(session, name)])
        return label

    async def list(
        self, project: ProjectName, page: PageRequest, display_names: Sequence[str] = ()
    ) -> tuple[Sequence[Label], str]:
        """Returns a page of a project's labels, ordered by what they are called, and the token of the next page.

        Args:
            project: whose labels.
            page: which page.
            display_names: only labels that are called one of these; empty for all.

        Raises:
            NotFoundError: if the project does not exist.
        """
        wanted = select(LabelRow).where(LabelRow.project == project.project).order_by(LabelRow.name)
        if display_names:
            wanted = wanted.where(is_one_of_texts(LabelRow.name, display_names))
        if (after := text_after(page)) is not None:
            wanted = wanted.where(LabelRow.name > after)
        async with one_moment(self._database) as session:
            await require_project(session, project)
            rows = (await session.scalars(wanted.limit(page.size + 1))).all()
            rows, token = page_of(rows, page, key=lambda row: text_key(row.name))
            return await _with_counts(session, project.project, rows), token

    async def require(self, project: ProjectName, display_names: Sequence[str]) -> None:
        """Makes sure that a project has labels.

        Raises:
            NotFoundError: if the project, or a label of it that is called so, does not exist.
        """
        called = select(LabelRow.name).where(
            LabelRow.project == project.project, is_one_of_texts(LabelRow.name, display_names)
        )
        async with self._database.transaction() as session:
            await require_project(session, project)
            there = set(await session.scalars(called))
        for display_name in display_names:
            if display_name not in there:
                raise NotFoundError(f"the label {display_name[:80]!r} of {project}")

    async def rename(self, name: LabelName, display_name: str) -> Label:
        """Calls a label something else, at once on every image.

        Raises:
            InvalidArgumentError: if it cannot be called that.
            NotFoundError: if it does not exist.
            AlreadyExistsError: if another label of the project is called that.
        """
        check_label(_FIELD, display_name, self._quotas.label_length)
        try:
            async with self._database.transaction() as session:
                row = await _find(session, name)
                if row.name != display_name:
                    changes.record(session, name.project, name, "labels.rename", before=row.name, after=display_name)
                    row.name = display_name
        except IntegrityError as error:
            raise await self._conflict(ProjectName(name.project), display_name) from error
        return await self.get(name)

    async def merge(self, name: LabelName, into: LabelName) -> Label:
        """Makes one label another one on every image, and deletes it.

        It is done in several transactions, each on record: what is interrupted can be called again.

        Raises:
            InvalidArgumentError: if the two are the same or of different projects.
            NotFoundError: if one of them does not exist.
        """
        if name.project != into.project or name == into:
            raise InvalidArgumentError.of_field("into", f"must be another label of the same project as {name}")

        async def step(session: AsyncSession, relabelling: Relabelling) -> None:
            target = await _find(session, into, keep=True)
            images = await relabelling.merge_some(session, target.key)
            what = {"into": str(into), "display_name": target.name}
            changes.record_images(session, name.project, name, "labels.merge", images, **what)

        await self.get(into)
        await self._empty(name, step)
        return await self.get(into)

    async def delete(self, name: LabelName, force: bool) -> None:
        """Deletes a label.

        With `force` it is done in several transactions, each on record: what is interrupted can be called again.

        Args:
            name: of the label.
            force: takes it off the images that carry it.

        Raises:
            NotFoundError: if it does not exist.
            FailedPreconditionError: with the reason IN_USE, if images carry it and `force` is not set.
        """

        async def step(session: AsyncSession, relabelling: Relabelling) -> None:
            if not force:
                message = f"images carry {name}: merge it into another label, or delete it with force"
                raise FailedPreconditionError(message, reason="IN_USE", metadata={"name": str(name)})
            images = await relabelling.strip_some(session)
            changes.record_images(session, name.project, name, "labels.strip", images)

        await self._empty(name, step)

    async def _empty(self, name: LabelName, step: Callable[[AsyncSession, Relabelling], Awaitable[None]]) -> None:
        """Takes steps until no image carries the label, and then deletes it."""
        while True:
            async with self._database.transaction() as session:
                relabelling = Relabelling(name.project, (await _find(session, name)).key)
                if await relabelling.is_used(session):
                    await step(session, relabelling)
                    continue
            async with self._database.transaction() as session:
                # Waits for everybody who is just putting it on an image.
                row = await _find(session, name, for_deletion=True)
                if not await relabelling.is_used(session):
                    changes.record(session, name.project, name, "labels.delete", display_name=row.name)
                    await session.delete(row)
                    return

    async def _conflict(self, project: ProjectName, display_name: str) -> AlreadyExistsError:
        wanted = select(LabelRow).where(LabelRow.project == project.project, LabelRow.name == display_name)
        async with self._database.transaction() as session:
            row = await session.scalar(wanted)
        there = f"{_name_of(row)} is" if row else "another label was"
        return AlreadyExistsError(
            f"{there} called {display_name!r} already; merge the two to make them one",
            metadata={"name": str(_name_of(row))} if row else {},
        )


async def _find(session: AsyncSession, name: LabelName, keep: bool = False, for_deletion: bool = False) -> LabelRow:
    """The row of a label.

    Args:
        session: the transaction.
        name: of the label.
        keep: keeps everybody else from deleting it.
        for_deletion: waits until nobody keeps it.
    """
    wanted = select(LabelRow).where(LabelRow.project == name.project, LabelRow.key == _key_of(name))
    if keep:
        wanted = wanted.with_for_update(read=True, key_share=True)
    if for_deletion:
        wanted = wanted.with_for_update()
    row = await session.scalar(wanted)
    if row is None:
        raise NotFoundError(str(name))
    return row


def _key_of(name: LabelName) -> int:
    number = name.label
    # As keys are written, and no longer than PostgreSQL's numbers: nothing else is the name of a label.
    if not number.isdigit() or number.startswith("0") or len(number) > 18:
        raise NotFoundError(str(name))
    return int(number)


def _name_of(row: LabelRow) -> LabelName:
    return LabelName(row.project, str(row.key))


async def _with_counts(session: AsyncSession, project: str, rows: Sequence[LabelRow]) -> Sequence[Label]:
    counts = await _counts_of(session, project, [row.key for row in rows])
    return [Label(_name_of(row), row.name, row.create_time, counts[row.key]) for row in rows]


async def _counts_of(session: AsyncSession, project: str, labels: Sequence[int]) -> Mapping[int, Sequence[SplitCount]]:
    """The counts of labels, for each dataset that the project has, TRAIN first."""
    datasets = select(DatasetRow.key, DatasetRow.split).where(DatasetRow.project == project)
    splits = {key: Split(split) for key, split in (await session.execute(datasets)).tuples()}
    summed = (
        select(
            LabelTallyRow.label, LabelTallyRow.dataset, func.sum(LabelTallyRow.images), func.sum(LabelTallyRow.boxes)
        )
        .where(LabelTallyRow.dataset.in_(splits), is_one_of_keys(LabelTallyRow.label, labels))
        .group_by(LabelTallyRow.label, LabelTallyRow.dataset)
    )
    found: dict[int, dict[Split, tuple[int, int]]] = defaultdict(dict)
    for label, dataset, images, boxes in await session.execute(summed):
        found[label][splits[dataset]] = (int(images), int(boxes))
    return {
        label: [SplitCount(split, *found[label].get(split, (0, 0))) for split in Split if split in splits.values()]
        for label in labels
    }
