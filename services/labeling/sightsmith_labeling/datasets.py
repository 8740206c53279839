"""Datasets of a project and their counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Transactions
from sightsmith.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError
from sightsmith.names import DatasetName, ProjectName
from sightsmith.paging import PageRequest, page_of
from sightsmith_labeling import changes
from sightsmith_labeling.constraints import violated_constraint
from sightsmith_labeling.page_keys import id_after
from sightsmith_labeling.projects import require_project
from sightsmith_labeling.statistics import Statistics, statistics_of
from sightsmith_labeling.tables import DatasetRow


class Split(StrEnum):
    """What images are used for."""

    TRAIN = "train"
    TEST = "test"


@dataclass(frozen=True)
class Dataset:
    """Images that serve one purpose."""

    name: DatasetName
    split: Split
    create_time: datetime
    statistics: Statistics


@dataclass(frozen=True)
class DatasetKey:
    """A dataset that was found, as the tables refer to it."""

    name: DatasetName
    key: int


class Datasets:
    """The datasets in the database."""

    def __init__(self, database: Transactions) -> None:
        self._database = database

    async def create(self, name: DatasetName, split: Split) -> Dataset:
        """Creates the dataset of a split.

        Raises:
            NotFoundError: if the project does not exist.
            AlreadyExistsError: if the project has a dataset of that id, or another one for the split.
        """
        row = DatasetRow(project=name.project, id=name.dataset, split=split.value)
        try:
            async with self._database.transaction() as session:
                session.add(row)
                changes.record(session, name.project, name, "datasets.create", split=split.value)
        except IntegrityError as error:
            if violated_constraint(error) == "fk_datasets_project":
                raise NotFoundError(str(ProjectName(name.project))) from error
            raise await self._conflict(name, split) from error
        return _to_dataset(row, Statistics())

    async def get(self, name: DatasetName) -> Dataset:
        """Returns a dataset with its counts.

        Raises:
            NotFoundError: if it does not exist.
        """
        async with self._database.transaction() as session:
            row = await _find(session, name)
            (dataset,) = await _with_counts(session, [row])
        return dataset

    async def find(self, name: DatasetName) -> DatasetKey:
        """Makes sure that a dataset exists.

        Raises:
            NotFoundError: if it does not.
        """
        async with self._database.transaction() as session:
            return DatasetKey(name, (await _find(session, name)).key)

    async def delete(self, name: DatasetName, force: bool) -> None:
        """Deletes a dataset. The bytes of its images stay, because snapshots refer to them.

        Args:
            name: of the dataset.
            force: deletes its images too.

        Raises:
            NotFoundError: if it does not exist.
            FailedPreconditionError: with the reason IN_USE, if it has images and `force` is not set.
        """
        async with self._database.transaction() as session:
            row = await _find(session, name, for_deletion=True)
            (dataset,) = await _with_counts(session, [row])
            images = dataset.statistics.image_count
            if images and not force:
                message = f"{name} has {images} images: delete it with force"
                raise FailedPreconditionError(message, reason="IN_USE", metadata={"name": str(name)})
            changes.record(session, name.project, name, "datasets.delete", split=row.split, image_count=images)
            # By itself, not through the session: the database takes the images along.
            await session.execute(delete(DatasetRow).where(DatasetRow.key == row.key))

    async def list(self, project: ProjectName, page: PageRequest) -> tuple[Sequence[Dataset], str]:
        """Returns a page of a project's datasets, ordered by id, and the token of the next page.

        Raises:
            NotFoundError: if the project does not exist.
        """
        wanted = select(DatasetRow).where(DatasetRow.project == project.project).order_by(DatasetRow.id)
        if (after := id_after(page)) is not None:
            wanted = wanted.where(DatasetRow.id > after)
        async with self._database.transaction() as session:
            await require_project(session, project)
            rows = (await session.scalars(wanted.limit(page.size + 1))).all()
            rows, token = page_of(rows, page, key=lambda row: row.id)
            return await _with_counts(session, rows), token

    async def _conflict(self, name: DatasetName, split: Split) -> AlreadyExistsError:
        of_split = select(DatasetRow.id).where(DatasetRow.project == name.project, DatasetRow.split == split.value)
        async with self._database.transaction() as session:
            existing = await session.scalar(of_split)
        if existing in (None, name.dataset):
            return AlreadyExistsError(f"{name} already exists", metadata={"name": str(name)})
        there = str(DatasetName(name.project, existing))
        return AlreadyExistsError(
            f"the project already has a dataset for the split {split.name}: {there}", metadata={"name": there}
        )


async def _find(session: AsyncSession, name: DatasetName, for_deletion: bool = False) -> DatasetRow:
    wanted = select(DatasetRow).where(DatasetRow.project == name.project, DatasetRow.id == name.dataset)
    row = await session.scalar(wanted.with_for_update() if for_deletion else wanted)
    if row is None:
        raise NotFoundError(str(name))
    return row


async def _with_counts(session: AsyncSession, rows: Sequence[DatasetRow]) -> Sequence[Dataset]:
    counts = await statistics_of(session, [row.key for row in rows])
    return [_to_dataset(row, counts[row.key]) for row in rows]


def _to_dataset(row: DatasetRow, statistics: Statistics) -> Dataset:
    return Dataset(DatasetName(row.project, row.id), Split(row.split), row.create_time, statistics)
