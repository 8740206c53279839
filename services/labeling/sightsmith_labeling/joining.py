"""How images whose bytes are stored join a dataset."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.actor import current_actor
from sightsmith.database import Database, utc_now
from sightsmith.images import ImageInfo
from sightsmith.names import DatasetName, ImageName
from sightsmith_labeling.annotations import NewAnnotation, Origin, numbered, stored
from sightsmith_labeling.datasets import DatasetKey
from sightsmith_labeling.images import Image, ImageState, new_image_id, to_image
from sightsmith_labeling.labels import label_keys, label_names
from sightsmith_labeling.tables import DatasetRow, ImageRow


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


async def join(database: Database, dataset: DatasetKey, images: Sequence[NewImage]) -> Sequence[Joined]:
    """Lets images join a dataset, in one transaction. An image that is there already stays as it is.

    An image that the project's other dataset has under other labels counts as being there.

    Returns:
        What became of each image, in their order.
    """
    offered = [_named(dataset.name, image) for image in images]
    async with database.transaction() as session:
        contradicted = await _find_contradicted(session, dataset, offered)
        new = await _insert(session, dataset, [image for image in offered if image.sha256 not in contradicted])
        lost = {_sha256(image) for image in offered if image.name not in new}
        there = {**(await _find(session, dataset, lost) if lost else {}), **contradicted}
    return [Joined(image, True) if image.name in new else Joined(there[_sha256(image)], False) for image in offered]


async def _insert(session: AsyncSession, dataset: DatasetKey, images: Sequence[Image]) -> Collection[ImageName]:
    """Inserts those images that the dataset does not have, and returns their names.

    The unique key on (dataset, sha256) decides which of several equal images wins, also between transactions.
    """
    labels = await label_keys(session, dataset.name.project, (name for image in images for name in image.labels))
    # Always in the same order, so that two transactions never wait for each other. Sorting is stable: of equal images
    # in one batch the first wins.
    rows = [_image_row(dataset, image, labels) for image in sorted(images, key=_sha256)]
    if not rows:
        return set()
    new = (
        postgresql.insert(ImageRow)
        .on_conflict_do_nothing(index_elements=[ImageRow.dataset, ImageRow.sha256])
        .returning(ImageRow.id)
    )
    names = {image.name.image: image.name for image in images}
    return {names[image_id] for image_id in await session.scalars(new, rows)}


async def _find_contradicted(
    session: AsyncSession, dataset: DatasetKey, images: Sequence[Image]
) -> Mapping[str, Image]:
    """Those images that another dataset of the project has under other labels, by SHA-256."""
    offered = {image.sha256: image.labels for image in images}
    wanted = (
        select(ImageRow, DatasetRow.id)
        .join(DatasetRow, DatasetRow.key == ImageRow.dataset)
        .where(
            DatasetRow.project == dataset.name.project,
            DatasetRow.key != dataset.key,
            ImageRow.sha256.in_(offered.keys()),
        )
    )
    found = (await session.execute(wanted)).all()
    names = await label_names(session, dataset.name.project) if found else {}
    elsewhere = [to_image(DatasetName(dataset.name.project, name), row, names) for row, name in found]
    return {_sha256(image): image for image in elsewhere if image.labels != offered[image.sha256]}


async def _find(session: AsyncSession, dataset: DatasetKey, sha256s: Iterable[str]) -> Mapping[str, Image]:
    wanted = select(ImageRow).where(ImageRow.dataset == dataset.key, ImageRow.sha256.in_(sha256s))
    names = await label_names(session, dataset.name.project)
    images = [to_image(dataset.name, row, names) for row in await session.scalars(wanted)]
    return {_sha256(image): image for image in images}


def _sha256(image: Image) -> str:
    assert image.sha256 is not None  # noqa: S101 - only called of images whose bytes are there
    return image.sha256


def _named(dataset: DatasetName, image: NewImage) -> Image:
    """The image as it will be if the dataset does not have it yet."""
    now = utc_now()
    labels = [NewAnnotation(label, origin=Origin.IMPORT, author=current_actor()) for label in sorted(image.labels)]
    return Image(
        name=ImageName(dataset.project, dataset.dataset, new_image_id()),
        state=ImageState.READY,
        sha256=image.sha256,
        source=image.source,
        annotations=numbered(labels, 0, now),
        problems=(),
        width=image.info.width,
        height=image.info.height,
        size_bytes=image.size_bytes,
        media_type=image.info.media_type,
        revision=1,
        create_time=now,
        update_time=now,
    )


def _image_row(dataset: DatasetKey, image: Image, label_keys: Mapping[str, int]) -> dict[str, Any]:
    return {
        "dataset": dataset.key,
        "id": image.name.image,
        "sha256": image.sha256,
        "source": image.source,
        "width": image.width,
        "height": image.height,
        "size_bytes": image.size_bytes,
        "media_type": image.media_type,
        "annotations": [stored(annotation, label_keys) for annotation in image.annotations],
        "last_annotation": len(image.annotations),
        "create_time": image.create_time,
        "update_time": image.update_time,
    }
