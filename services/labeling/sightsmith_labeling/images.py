"""Images of a dataset: the rows, not the bytes."""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database, utc_now
from sightsmith.errors import NotFoundError
from sightsmith.images import ImageInfo
from sightsmith.names import DatasetName, ImageName
from sightsmith.paging import PageRequest, page_of
from sightsmith_labeling.datasets import DatasetKey
from sightsmith_labeling.labels import Origin, label_keys
from sightsmith_labeling.tables import AnnotationRow, DatasetRow, ImageRow, LabelRow

# 80 random bits: the unique key on (dataset, id) has nothing to do in practice.
_ID_DIGITS = 20
# Labels that come with an upload.
_ORIGIN = Origin.IMPORT.value


@dataclass(frozen=True)
class Image:
    """One picture of a dataset with its labels.

    Attributes:
        labels: labels of the whole image, ordered.
        width: upright width in pixels.
        height: upright height in pixels.
    """

    name: ImageName
    sha256: str
    source: str
    labels: tuple[str, ...]
    width: int
    height: int
    size_bytes: int
    media_type: str
    create_time: datetime


@dataclass(frozen=True)
class NewImage:
    """A picture that is to join a dataset; its bytes are stored already."""

    sha256: str
    source: str
    labels: tuple[str, ...]
    info: ImageInfo
    size_bytes: int


@dataclass(frozen=True)
class Joined:
    """What became of a `NewImage`: the image in the dataset, which may have been there before it."""

    image: Image
    is_new: bool


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
            select(ImageRow, _labels())
            .join(DatasetRow, DatasetRow.key == ImageRow.dataset)
            .where(DatasetRow.project == name.project, DatasetRow.id == name.dataset, ImageRow.id == name.image)
        )
        async with self._database.transaction() as session:
            found = (await session.execute(wanted)).one_or_none()
        if found is None:
            raise NotFoundError(str(name))
        return _to_image(DatasetName(name.project, name.dataset), found[0], found[1])

    async def list(self, dataset: DatasetKey, page: PageRequest) -> tuple[Sequence[Image], str]:
        """Returns a page of a dataset's images in the order of their arrival, and the token of the next page."""
        wanted = select(ImageRow, _labels()).where(ImageRow.dataset == dataset.key).order_by(ImageRow.sequence)
        if page.after is not None:
            wanted = wanted.where(ImageRow.sequence > page.after_number)
        async with self._database.transaction() as session:
            rows = (await session.execute(wanted.limit(page.size + 1))).all()
        rows, token = page_of(rows, page, key=lambda row: row[0].sequence)
        return [_to_image(dataset.name, row, labels) for row, labels in rows], token

    async def join(self, dataset: DatasetKey, images: Sequence[NewImage]) -> Sequence[Joined]:
        """Lets images join a dataset, in one transaction. An image that is there already stays as it is.

        An image that the project's other dataset has under other labels counts as being there.

        Returns:
            What became of each image, in their order.
        """
        offered = [_named(dataset.name, image) for image in images]
        async with self._database.transaction() as session:
            contradicted = await _find_contradicted(session, dataset, offered)
            new = await _insert(session, dataset, [image for image in offered if image.sha256 not in contradicted])
            lost = {image.sha256 for image in offered if image.name not in new}
            there = {**(await _find(session, dataset, lost) if lost else {}), **contradicted}
        return [Joined(image, True) if image.name in new else Joined(there[image.sha256], False) for image in offered]


async def _insert(session: AsyncSession, dataset: DatasetKey, images: Sequence[Image]) -> Collection[ImageName]:
    """Inserts those images that the dataset does not have, with their labels, and returns their names."""
    labels = await label_keys(session, dataset.name.project, (name for image in images for name in image.labels))
    sequences = await _insert_images(session, dataset, images)
    rows = [
        {"image": sequences[image.name], "label": labels[name], "origin": _ORIGIN, "create_time": image.create_time}
        for image in images
        if image.name in sequences
        for name in image.labels
    ]
    if rows:
        await session.execute(insert(AnnotationRow), rows)
    return sequences.keys()


async def _insert_images(
    session: AsyncSession, dataset: DatasetKey, images: Sequence[Image]
) -> Mapping[ImageName, int]:
    """Inserts those images that the dataset does not have, and returns their sequence numbers.

    The unique key on (dataset, sha256) decides which of several equal images wins, also between transactions.
    """
    # Always in the same order, so that two transactions never wait for each other. Sorting is stable: of equal images
    # in one batch the first wins.
    rows = [_image_row(dataset, image) for image in sorted(images, key=lambda image: image.sha256)]
    new = (
        postgresql.insert(ImageRow)
        .on_conflict_do_nothing(index_elements=[ImageRow.dataset, ImageRow.sha256])
        .returning(ImageRow.id, ImageRow.sequence)
    )
    names = {image.name.image: image.name for image in images}
    return {names[image_id]: sequence for image_id, sequence in await session.execute(new, rows)}


async def _find_contradicted(
    session: AsyncSession, dataset: DatasetKey, images: Sequence[Image]
) -> Mapping[str, Image]:
    """Those images that another dataset of the project has under other labels, by SHA-256."""
    offered = {image.sha256: image.labels for image in images}
    wanted = (
        select(ImageRow, _labels(), DatasetRow.id)
        .join(DatasetRow, DatasetRow.key == ImageRow.dataset)
        .where(
            DatasetRow.project == dataset.name.project,
            DatasetRow.key != dataset.key,
            ImageRow.sha256.in_(offered.keys()),
        )
    )
    elsewhere = [
        _to_image(DatasetName(dataset.name.project, name), row, labels)
        for row, labels, name in await session.execute(wanted)
    ]
    return {image.sha256: image for image in elsewhere if image.labels != offered[image.sha256]}


async def _find(session: AsyncSession, dataset: DatasetKey, sha256s: Iterable[str]) -> Mapping[str, Image]:
    wanted = select(ImageRow, _labels()).where(ImageRow.dataset == dataset.key, ImageRow.sha256.in_(sha256s))
    return {row.sha256: _to_image(dataset.name, row, labels) for row, labels in await session.execute(wanted)}


def _named(dataset: DatasetName, image: NewImage) -> Image:
    """The image as it will be if the dataset does not have it yet."""
    return Image(
        name=ImageName(dataset.project, dataset.dataset, uuid.uuid4().hex[:_ID_DIGITS]),
        sha256=image.sha256,
        source=image.source,
        labels=tuple(sorted(image.labels)),
        width=image.info.width,
        height=image.info.height,
        size_bytes=image.size_bytes,
        media_type=image.info.media_type,
        create_time=utc_now(),
    )


def _image_row(dataset: DatasetKey, image: Image) -> dict[str, Any]:
    return {
        "dataset": dataset.key,
        "id": image.name.image,
        "sha256": image.sha256,
        "source": image.source,
        "width": image.width,
        "height": image.height,
        "size_bytes": image.size_bytes,
        "media_type": image.media_type,
        "create_time": image.create_time,
    }


def _labels() -> ColumnElement[list[str] | None]:
    """The labels of the image of the enclosing query, ordered; null if it has none."""
    return (
        select(func.array_agg(aggregate_order_by(LabelRow.name, LabelRow.name)))
        .join(AnnotationRow, AnnotationRow.label == LabelRow.key)
        .where(AnnotationRow.image == ImageRow.sequence)
        .correlate(ImageRow)
        .scalar_subquery()
    )


def _to_image(dataset: DatasetName, row: ImageRow, labels: list[str] | None) -> Image:
    return Image(
        name=ImageName(dataset.project, dataset.dataset, row.id),
        sha256=row.sha256,
        source=row.source,
        labels=tuple(labels or ()),
        width=row.width,
        height=row.height,
        size_bytes=row.size_bytes,
        media_type=row.media_type,
        create_time=row.create_time,
    )
