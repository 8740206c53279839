"""The images of a project as they stand at one moment, whatever their state, and how each looks in a manifest."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database
from sightsmith.names import DatasetName, ProjectName
from sightsmith.objects import image_key, s3_url_of
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.ground_truth import ground_truth_line
from sightsmith_labeling.formats.records import ExportedImage
from sightsmith_labeling.images import Image, to_image
from sightsmith_labeling.labels import label_names
from sightsmith_labeling.reading import image_batches
from sightsmith_labeling.tables import DatasetRow, ImageRow


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image with the split that it is in and what its pixels say."""

    image: Image
    split: Split
    signals: Mapping[str, Any] | None

    @property
    def size(self) -> tuple[int, int] | None:
        """Upright width and height in pixels; None while they are not known."""
        if self.image.width is None or self.image.height is None:
            return None
        return self.image.width, self.image.height


class StoredImages:
    """The images of a project, the same however often they are asked for."""

    def __init__(self, session: AsyncSession, project: ProjectName, names: Mapping[int, str]) -> None:
        self._session = session
        self._project = project
        self._names = names

    @property
    def class_ids(self) -> dict[str, int]:
        """A number for each label of the project."""
        return {label: number for number, label in enumerate(sorted(self._names.values()))}

    async def count(self) -> int:
        """How many there are."""
        counted = select(func.count()).select_from(ImageRow).join(DatasetRow, DatasetRow.key == ImageRow.dataset)
        return await self._session.scalar(counted.where(DatasetRow.project == self._project.project)) or 0

    async def has_test_images(self) -> bool:
        """Whether there are labelled images to be judged by, so that none are to be split off."""
        labelled = (
            select(ImageRow.sequence)
            .join(DatasetRow, DatasetRow.key == ImageRow.dataset)
            .where(DatasetRow.project == self._project.project, DatasetRow.split == Split.TEST.value)
            .where(ImageRow.is_labelled)
            .limit(1)
        )
        return await self._session.scalar(labelled) is not None

    async def batches(self) -> AsyncIterator[Sequence[StoredImage]]:
        """Reads them: first those to learn from, each dataset in the order of arrival."""
        wanted = (
            select(ImageRow, DatasetRow.id, DatasetRow.split)
            .join(DatasetRow, DatasetRow.key == ImageRow.dataset)
            .where(DatasetRow.project == self._project.project)
        )
        order = (DatasetRow.split.desc(), ImageRow.sequence)
        async for batch in image_batches(self._session, wanted, order):
            yield [self._stored(row, dataset, split) for row, dataset, split in batch]
            self._session.expunge_all()

    def _stored(self, row: ImageRow, dataset: str, split: str) -> StoredImage:
        image = to_image(DatasetName(self._project.project, dataset), row, self._names)
        return StoredImage(image, Split(split), row.signals)


@asynccontextmanager
async def stored_images(database: Database, project: ProjectName) -> AsyncIterator[StoredImages]:
    """Opens the images of a project as they stand now; what is changed meanwhile is not seen."""
    async with database.transaction() as session:
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})
        yield StoredImages(session, project, await label_names(session, project.project))


def manifest_line(stored: StoredImage, class_ids: dict[str, int], object_store_url: str) -> bytes:
    """The line that an image has in a manifest. Boxes are left out while the size of the image is not known.

    Args:
        stored: the image.
        class_ids: a number for each label.
        object_store_url: where the bytes of all images are, or will be once they are fetched; a folder is referred to
            as exports do.
    """
    image = stored.image
    url = f"{s3_url_of(object_store_url)}/{image_key(image.sha256) if image.sha256 else image.name}"
    exported = ExportedImage(
        file_name="",
        source=url,
        url=url,
        width=image.width,
        height=image.height,
        split=stored.split,
        annotations=tuple(
            annotation for annotation in image.annotations if annotation.box is None or stored.size is not None
        ),
    )
    return ground_truth_line(exported, class_ids).rstrip(b"\n")
