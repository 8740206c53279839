"""Reading the labelled images of a project as they stand at one moment, without holding them in memory."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database
from sightsmith.names import ImageName, ProjectName
from sightsmith_labeling.annotations import Annotation, read_all, whole_image_labels
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.labels import label_names
from sightsmith_labeling.reading import image_batches
from sightsmith_labeling.tables import DatasetRow, ImageRow


@dataclass(frozen=True)
class LabelledImage:
    """An image whose bytes are there, with what is annotated on it.

    Attributes:
        signals: what its pixels say; None while that was not measured.
    """

    name: ImageName
    sha256: str
    split: Split
    annotations: tuple[Annotation, ...]
    source: str
    width: int
    height: int
    signals: Mapping[str, Any] | None

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the whole image, each once, ordered."""
        return whole_image_labels(self.annotations)


class LabelledImages:
    """The labelled images of a project, the same however often they are read."""

    def __init__(
        self, session: AsyncSession, project: ProjectName, label_names: Mapping[int, str], include_unlabelled: bool
    ) -> None:
        self._session = session
        self._project = project
        self._label_names = label_names
        self._include_unlabelled = include_unlabelled

    async def has_test_images(self) -> bool:
        """Whether any of them is in a test dataset."""
        labelled_test_image = (
            select(ImageRow.sequence)
            .join(DatasetRow, DatasetRow.key == ImageRow.dataset)
            .where(DatasetRow.project == self._project.project, DatasetRow.split == Split.TEST.value)
            .where(ImageRow.is_labelled, ImageRow.state == "ready")
            .limit(1)
        )
        return await self._session.scalar(labelled_test_image) is not None

    async def count_unready(self) -> int:
        """How many images are labelled but not read, because their bytes are not there."""
        unready = (
            select(func.count())
            .select_from(ImageRow)
            .join(DatasetRow, DatasetRow.key == ImageRow.dataset)
            .where(DatasetRow.project == self._project.project, ImageRow.is_labelled, ImageRow.state != "ready")
        )
        return await self._session.scalar(unready) or 0

    async def read(self) -> AsyncIterator[LabelledImage]:
        """Reads them all, ordered by SHA-256 and then by name."""
        wanted = (
            select(
                DatasetRow.id,
                DatasetRow.split,
                ImageRow.id,
                ImageRow.sha256,
                ImageRow.source,
                ImageRow.width,
                ImageRow.height,
                ImageRow.annotations,
                ImageRow.signals,
            )
            .join(ImageRow, ImageRow.dataset == DatasetRow.key)
            .where(DatasetRow.project == self._project.project, ImageRow.state == "ready")
            .where(or_(ImageRow.is_labelled, literal(self._include_unlabelled)))
        )
        order = (ImageRow.sha256, DatasetRow.id, ImageRow.id)
        async for batch in image_batches(self._session, wanted, order):
            for dataset, split, image, sha256, source, width, height, annotations, signals in batch:
                name = ImageName(self._project.project, dataset, image)
                found = read_all(annotations, self._label_names)
                yield LabelledImage(name, sha256, Split(split), found, source, width, height, signals)


@asynccontextmanager
async def labelled_images(
    database: Database, project: ProjectName, include_unlabelled: bool = False
) -> AsyncIterator[LabelledImages]:
    """Opens the labelled images of a project as they stand now; what is changed meanwhile is not seen.

    Args:
        database: where they are.
        project: theirs.
        include_unlabelled: read images without annotations too.
    """
    async with database.transaction() as session:
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})
        names = await label_names(session, project.project)
        yield LabelledImages(session, project, names, include_unlabelled)
