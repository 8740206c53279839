"""Images of a dataset: the rows, not the bytes."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select

from sightsmith.database import Database
from sightsmith.errors import NotFoundError
from sightsmith.names import DatasetName, ImageName
from sightsmith.paging import PageRequest, page_of
from sightsmith_labeling.annotations import Annotation, read_all, whole_image_labels
from sightsmith_labeling.datasets import DatasetKey
from sightsmith_labeling.labels import label_names
from sightsmith_labeling.tables import DatasetRow, ImageRow

# 80 random bits: the unique key on (dataset, id) has nothing to do in practice.
_ID_DIGITS = 20


class ImageState(StrEnum):
    """Whether an image's bytes are there."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with an image or its annotations, found by an import or when the bytes were fetched.

    Attributes:
        code: as in `ERROR_INVALID_BOUNDING_BOX`.
        path: what it is about inside the imported line, as in `bb.annotations[2]`; empty for the whole image.
    """

    code: str
    message: str
    path: str = ""


@dataclass(frozen=True)
class Image:
    """One picture of a dataset with its annotations.

    Attributes:
        sha256: of the bytes; None while they are not there.
        width: upright width in pixels; None while it is not known.
        height: upright height in pixels; None while it is not known.
        size_bytes: None while the bytes are not there.
        media_type: None while the bytes are not there.
        revision: goes up with every change of the image.
    """

    name: ImageName
    state: ImageState
    sha256: str | None
    source: str
    annotations: tuple[Annotation, ...]
    problems: tuple[Problem, ...]
    width: int | None
    height: int | None
    size_bytes: int | None
    media_type: str | None
    revision: int
    create_time: datetime
    update_time: datetime

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the whole image, each once, ordered."""
        return whole_image_labels(self.annotations)


class Images:
    """The images in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: ImageName) -> Image:
        """Returns an image.

        Raises:
            NotFoundError: if it does not exist.
        """
        wanted = (
            select(ImageRow)
            .join(DatasetRow, DatasetRow.key == ImageRow.dataset)
            .where(DatasetRow.project == name.project, DatasetRow.id == name.dataset, ImageRow.id == name.image)
        )
        async with self._database.transaction() as session:
            row = await session.scalar(wanted)
            if row is None:
                raise NotFoundError(str(name))
            names = await label_names(session, name.project)
        return to_image(DatasetName(name.project, name.dataset), row, names)

    async def list(self, dataset: DatasetKey, page: PageRequest) -> tuple[Sequence[Image], str]:
        """Returns a page of a dataset's images in the order of their arrival, and the token of the next page."""
        wanted = select(ImageRow).where(ImageRow.dataset == dataset.key).order_by(ImageRow.sequence)
        if page.after is not None:
            wanted = wanted.where(ImageRow.sequence > page.after_number)
        async with self._database.transaction() as session:
            rows = (await session.scalars(wanted.limit(page.size + 1))).all()
            names = await label_names(session, dataset.name.project)
        rows, token = page_of(rows, page, key=lambda row: row.sequence)
        return [to_image(dataset.name, row, names) for row in rows], token


def new_image_id() -> str:
    """An id for an image that is to join a dataset."""
    return uuid.uuid4().hex[:_ID_DIGITS]


def to_image(dataset: DatasetName, row: ImageRow, labels: Mapping[int, str]) -> Image:
    """The image of a row.

    Args:
        dataset: the dataset that it is in.
        row: its row.
        labels: the names of the project's labels, by key.
    """
    return Image(
        name=ImageName(dataset.project, dataset.dataset, row.id),
        state=ImageState(row.state),
        sha256=row.sha256,
        source=row.source,
        annotations=read_all(row.annotations, labels),
        problems=tuple(Problem(**problem) for problem in row.problems),
        width=row.width,
        height=row.height,
        size_bytes=row.size_bytes,
        media_type=row.media_type,
        revision=row.revision,
        create_time=row.create_time,
        update_time=row.update_time,
    )
