"""What happens to images that are in a dataset, beside their annotations: they are renamed, moved and deleted."""

from collections.abc import Mapping, Sequence

from sqlalchemy import ARRAY, BigInteger, ColumnElement, any_, cast, delete, literal, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database, utc_now
from sightsmith.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from sightsmith.names import DatasetName, ImageName, ProjectName
from sightsmith_labeling import changes
from sightsmith_labeling.datasets import DatasetKey
from sightsmith_labeling.edits import check_etag
from sightsmith_labeling.images import Image, Images, ImageState, images_named
from sightsmith_labeling.quotas import Quotas, require_room
from sightsmith_labeling.statistics import statistics_of
from sightsmith_labeling.tables import ImageRow


class ImageKeeping:
    """Changes the images in the database, each call in one transaction."""

    def __init__(self, database: Database, images: Images, quotas: Quotas, max_source_length: int) -> None:
        self._database = database
        self._images = images
        self._quotas = quotas
        self._max_source_length = max_source_length

    async def update_source(self, name: ImageName, source: str, etag: str) -> Image:
        """Changes where an image is said to come from.

        Raises:
            InvalidArgumentError: if the source is too long or has a NUL.
            NotFoundError: if the image does not exist.
            AbortedError: with the reason ETAG_MISMATCH, if the image was changed since the etag was read.
            FailedPreconditionError: if its bytes are not there: they are to be fetched from that very source.
        """
        if len(source) > self._max_source_length or "\0" in source:
            rule = f"must be at most {self._max_source_length} characters without NUL"
            raise InvalidArgumentError.of_field("image.source", rule)
        async with self._database.transaction() as session:
            (row,) = (await _lock(session, [name])).values()
            check_etag(name, row.revision, etag)
            if row.state != ImageState.READY:
                message = f"the bytes of {name} are not there: the image is {row.state}"
                raise FailedPreconditionError(message, metadata={"state": row.state.upper()})
            changes.record(session, name.project, name, "images.update", before=row.source, after=source)
            await _change(session, [row], source=source)
        return await self._images.get(name)

    async def move(self, names: Sequence[ImageName], destination: DatasetKey) -> Sequence[Image]:
        """Moves images of one dataset to another dataset of their project.

        Args:
            names: of the images, one or more.
            destination: where they go.

        Returns:
            The images under their new names, in the order of the old ones.

        Raises:
            NotFoundError: if an image does not exist.
            AlreadyExistsError: if the destination has the same picture already.
            ResourceExhaustedError: if the destination would have too many images.
        """
        project = ProjectName(destination.name.project)
        try:
            async with self._database.transaction() as session:
                rows = await _lock(session, names)
                there = (await statistics_of(session, [destination.key]))[destination.key].image_count
                require_room(f"images in {destination.name}", there + len(rows), self._quotas.images_per_dataset)
                source, ids = DatasetName(project.project, names[0].dataset), [row.id for row in rows.values()]
                to = str(destination.name)
                changes.record_images(session, project.project, source, "images.move", ids, to=to)
                await _change(session, list(rows.values()), dataset=destination.key)
        except IntegrityError as error:
            raise await self._conflict(names, destination) from error
        moved = [ImageName(name.project, destination.name.dataset, name.image) for name in rows]
        return await self._images.get_all(project, moved)

    async def delete(self, names: Sequence[ImageName], etags: Mapping[ImageName, str] | None = None) -> None:
        """Deletes images of one dataset. Their bytes stay, because snapshots refer to them.

        Args:
            names: of the images, one or more.
            etags: what an image's etag must still be.

        Raises:
            NotFoundError: if an image does not exist.
            AbortedError: with the reason ETAG_MISMATCH, if an image was changed since its etag was read.
        """
        async with self._database.transaction() as session:
            rows = await _lock(session, names)
            for name, row in rows.items():
                check_etag(name, row.revision, (etags or {}).get(name))
            await session.execute(delete(ImageRow).where(_are(list(rows.values()))), execution_options=_UNSYNCHRONISED)
            dataset = DatasetName(names[0].project, names[0].dataset)
            ids = [row.id for row in rows.values()]
            changes.record_images(session, dataset.project, dataset, "images.delete", ids)

    async def _conflict(self, names: Sequence[ImageName], destination: DatasetKey) -> AlreadyExistsError:
        """Says which picture the destination has already."""
        project = ProjectName(destination.name.project)
        async with self._database.transaction() as session:
            rows = await session.execute(images_named(project, names))
            digests = {row.sha256 for row, _ in rows if row.sha256}
            same = select(ImageRow.id).where(ImageRow.dataset == destination.key, ImageRow.sha256.in_(digests)).limit(1)
            image = await session.scalar(same)
        name = str(ImageName(project.project, destination.name.dataset, image)) if image else str(destination.name)
        return AlreadyExistsError(f"{destination.name} has the same picture already: {name}", metadata={"name": name})


_UNSYNCHRONISED = {"synchronize_session": False}


async def _lock(session: AsyncSession, names: Sequence[ImageName]) -> Mapping[ImageName, ImageRow]:
    """The rows of images of one project, in the order of their names, each once."""
    project = ProjectName(names[0].project)
    # In the order of arrival, so that two transactions never wait for each other.
    wanted = images_named(project, names).order_by(ImageRow.sequence).with_for_update(of=ImageRow)
    found = {ImageName(project.project, dataset, row.id): row for row, dataset in (await session.execute(wanted)).all()}
    for name in names:
        if name not in found:
            raise NotFoundError(str(name))
    return {name: found[name] for name in names}


async def _change(session: AsyncSession, rows: Sequence[ImageRow], **values: object) -> None:
    changed = update(ImageRow).where(_are(rows))
    changed = changed.values(revision=ImageRow.revision + 1, update_time=utc_now(), **values)
    await session.execute(changed, execution_options=_UNSYNCHRONISED)


def _are(rows: Sequence[ImageRow]) -> ColumnElement[bool]:
    wanted = [row.sequence for row in rows]
    return ImageRow.sequence == any_(cast(literal(wanted, ARRAY(BigInteger)), ARRAY(BigInteger)))
