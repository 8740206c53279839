"""Reading the labelled images of a project as they stand at one moment, without holding them in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database
from sightsmith.names import ImageName, ProjectName
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.tables import AnnotationRow, DatasetRow, ImageRow, LabelRow

_ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class LabelledImage:
    """An image with one label or more."""

    name: ImageName
    sha256: str
    split: Split
    labels: tuple[str, ...]
    source: str


class LabelledImages:
    """The labelled images of a project, the same however often they are read."""

    def __init__(self, session: AsyncSession, project: ProjectName) -> None:
        self._session = session
        self._project = project

    async def has_test_images(self) -> bool:
        """Whether any of them is in a test dataset."""
        labelled_test_image = (
            select(AnnotationRow.key)
            .join(ImageRow, ImageRow.sequence == AnnotationRow.image)
            .join(DatasetRow, DatasetRow.key == ImageRow.dataset)
            .where(DatasetRow.project == self._project.project, DatasetRow.split == Split.TEST.value)
            .limit(1)
        )
        return await self._session.scalar(labelled_test_image) is not None

    async def read(self) -> AsyncIterator[LabelledImage]:
        """Reads them all, ordered by SHA-256 and then by name."""
        labels = func.array_agg(aggregate_order_by(LabelRow.name, LabelRow.name))
        wanted = (
            select(DatasetRow.id, DatasetRow.split, ImageRow.id, ImageRow.sha256, ImageRow.source, labels)
            .join(ImageRow, ImageRow.dataset == DatasetRow.key)
            .join(AnnotationRow, AnnotationRow.image == ImageRow.sequence)
            .join(LabelRow, LabelRow.key == AnnotationRow.label)
            .where(DatasetRow.project == self._project.project)
            .group_by(DatasetRow.key, ImageRow.sequence)
            .order_by(ImageRow.sha256, DatasetRow.id, ImageRow.id)
        )
        rows = await self._session.stream(wanted, execution_options={"yield_per": _ROWS_AT_ONCE})
        # By the batch: asking for single rows costs SQLAlchemy a switch of contexts each.
        async for batch in rows.partitions():
            for dataset, split, image, sha256, source, names in batch:
                name = ImageName(self._project.project, dataset, image)
                yield LabelledImage(name, sha256, Split(split), tuple(names), source)


@asynccontextmanager
async def labelled_images(database: Database, project: ProjectName) -> AsyncIterator[LabelledImages]:
    """Opens the labelled images of a project as they stand now; what is changed meanwhile is not seen."""
    async with database.transaction() as session:
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})
        yield LabelledImages(session, project)
