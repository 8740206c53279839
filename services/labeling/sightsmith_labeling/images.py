"""Images of a dataset: the rows, not the bytes."""

import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ARRAY, Row, Select, Text, and_, any_, cast, literal, or_, select

from sightsmith.database import Database
from sightsmith.errors import NotFoundError
from sightsmith.names import DatasetName, ImageName, ProjectName
from sightsmith.paging import PageRequest, page_of
from sightsmith_labeling.annotations import Annotation, read_all, whole_image_labels
from sightsmith_labeling.datasets import DatasetKey
from sightsmith_labeling.image_filter import ImageFilter, ImageOrder, page_of_images
from sightsmith_labeling.labels import label_names
from sightsmith_labeling.reading import one_moment
from sightsmith_labeling.tables import DatasetRow, ImageRow

# 80 random bits: the unique key on (dataset, id) has nothing to do in practice.
_ID_DIGITS = 20
_ALL = ImageFilter()


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
        (image,) = await self.get_all(ProjectName(name.project), [name])
        return image

    async def get_all(self, project: ProjectName, names: Sequence[ImageName]) -> Sequence[Image]:
        """Returns images of one project, in the order of their names.

        Raises:
            NotFoundError: if one of them does not exist.
        """
        async with one_moment(self._database) as session:
            rows = (await session.execute(images_named(project, names))).all()
            labels = await label_names(session, project.project)
        images = [to_image(DatasetName(project.project, dataset), row, labels) for row, dataset in rows]
        return in_order(names, images)

    async def list(
        self,
        dataset: DatasetKey,
        page: PageRequest,
        wanted: ImageFilter = _ALL,
        order: ImageOrder = ImageOrder.CREATE_TIME,
    ) -> tuple[Sequence[Image], str]:
        """Returns a page of a dataset's images, and the token of the next page.

        Raises:
            InvalidArgumentError: if the page's token is of another list or order.
        """
        async with one_moment(self._database) as session:
            labels = await label_names(session, dataset.name.project)
            keys = [key for key, name in labels.items() if name in wanted.labels] if wanted.labels else None
            rows = (await session.execute(page_of_images(dataset.key, page, wanted, keys, order))).all()
        rows, token = page_of(rows, page, key=order.key_of)
        return [to_image(dataset.name, row, labels) for row in rows], token


def images_named(project: ProjectName, names: Sequence[ImageName]) -> Select[ImageRow, str]:
    """The rows of images of a project, each with the id of its dataset; those that are not there are left out."""
    ids = defaultdict(list)
    for name in names:
        ids[name.dataset].append(name.image)
    # An array each and not a parameter for each image: there may be more images than parameters.
    chosen = (
        and_(DatasetRow.id == dataset, ImageRow.id == any_(cast(literal(images, ARRAY(Text)), ARRAY(Text))))
        for dataset, images in ids.items()
    )
    return (
        select(ImageRow, DatasetRow.id)
        .join(DatasetRow, DatasetRow.key == ImageRow.dataset)
        .where(DatasetRow.project == project.project, or_(False, *chosen))
    )


def in_order(names: Sequence[ImageName], images: Iterable[Image]) -> Sequence[Image]:
    """Images in the order of their names.

    Raises:
        NotFoundError: if there is none of one of the names.
    """
    found = {image.name: image for image in images}
    for name in names:
        if name not in found:
            raise NotFoundError(str(name))
    return [found[name] for name in names]


def etag_of(revision: int) -> str:
    """The etag of an image's revision."""
    return f'"{revision}"'


def new_image_id() -> str:
    """An id for an image that is to join a dataset."""
    return new_image_ids(1)[0]


def new_image_ids(count: int) -> list[str]:
    """Ids for many images."""
    # Drawn at once: with each call to the operating system a thread gives the interpreter away and waits for it again.
    digits = secrets.token_hex(count * _ID_DIGITS // 2)
    return [digits[begin : begin + _ID_DIGITS] for begin in range(0, len(digits), _ID_DIGITS)]


def to_image(dataset: DatasetName, row: ImageRow | Row[*tuple[Any, ...]], labels: Mapping[int, str]) -> Image:
    """The image of a row.

    Args:
        dataset: the dataset that it is in.
        row: its row, or the columns of it that an image shows.
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
