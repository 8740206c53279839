"""How images whose bytes are stored join a dataset."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, Text, any_, bindparam, cast, column, func, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import utc_now
from sightsmith.errors import AbortedError, NotFoundError
from sightsmith.names import DatasetName, ImageName
from sightsmith_labeling.annotations import Annotation, Box, NewAnnotation, numbered, stored
from sightsmith_labeling.constraints import violated_constraint
from sightsmith_labeling.datasets import DatasetKey
from sightsmith_labeling.images import Image, ImageState, new_image_id, to_image
from sightsmith_labeling.kept_image import KeptImage
from sightsmith_labeling.labels import label_keys, label_names
from sightsmith_labeling.quotas import Quotas, require_room
from sightsmith_labeling.tables import Base, DatasetRow, ImageRow, ImageTallyRow

# An image that is there already can be deleted before it is read; then there is room for the new one after all.
_ROUNDS = 3

Contents = frozenset[tuple[str, Box | None]]
"""What is annotated on an image, whoever did it."""


@dataclass(frozen=True)
class NewImage:
    """A picture that is to join a dataset; its bytes are stored already."""

    kept: KeptImage
    annotations: tuple[NewAnnotation, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the whole image, each once, ordered."""
        return tuple(sorted({annotation.label for annotation in self.annotations if annotation.box is None}))

    @property
    def contents(self) -> Contents:
        """What is annotated on it."""
        return frozenset((annotation.label, annotation.box) for annotation in self.annotations)


@dataclass(frozen=True)
class Joined:
    """What became of a `NewImage`: the image in the dataset, which may have been there before it."""

    image: Image
    is_new: bool


def contents_of(annotations: Iterable[Annotation]) -> Contents:
    """What annotations say, whoever made them."""
    return frozenset(annotation.content for annotation in annotations)


async def join_within(
    session: AsyncSession, dataset: DatasetKey, images: Sequence[NewImage], quotas: Quotas
) -> Sequence[Joined]:
    """Lets images join a dataset. An image that is there already stays as it is.

    An image that the project's other dataset has under other labels or boxes counts as being there.

    Returns:
        What became of each image, in their order.

    Raises:
        NotFoundError: if the dataset was deleted meanwhile.
        ResourceExhaustedError: if the dataset would have too many images, or the project too many labels.
        AbortedError: if the same image was added and deleted again and again meanwhile.
    """
    offered = [_Offered.to(dataset, image) for image in images]
    there = dict(await _find_contradicted(session, dataset, offered))
    new: set[ImageName] = set()
    for _ in range(_ROUNDS):
        missing = [image for image in offered if image.name not in new and image.sha256 not in there]
        new |= await _insert(session, dataset, missing, quotas)
        if lost := {image.sha256 for image in missing if image.name not in new}:
            there |= await _find(session, dataset, lost)
        if lost <= there.keys():
            return [
                Joined(image.image, True) if image.name in new else Joined(there[image.sha256], False)
                for image in offered
            ]
    message = f"images of {dataset.name} are deleted while they are sent; try again"
    raise AbortedError(message, metadata={"name": str(dataset.name)})


@dataclass(frozen=True)
class _Offered:
    """An image as it will be if the dataset does not have it yet."""

    image: Image
    kept: KeptImage

    @classmethod
    def to(cls, dataset: DatasetKey, new: NewImage) -> "_Offered":
        now = utc_now()
        image = Image(
            name=ImageName(dataset.name.project, dataset.name.dataset, new_image_id()),
            state=ImageState.READY,
            sha256=new.kept.sha256,
            source=new.kept.source,
            annotations=numbered(new.annotations, 0, now),
            problems=(),
            width=new.kept.info.width,
            height=new.kept.info.height,
            size_bytes=new.kept.size_bytes,
            media_type=new.kept.info.media_type,
            revision=1,
            create_time=now,
            update_time=now,
        )
        return cls(image, new.kept)

    @property
    def name(self) -> ImageName:
        return self.image.name

    @property
    def sha256(self) -> str:
        return self.kept.sha256

    def row(self, dataset: DatasetKey, label_keys: Mapping[str, int]) -> dict[str, Any]:
        """The image as an object of JSON, with a value for each of `_COLUMNS`."""
        return {
            "dataset": dataset.key,
            "id": self.name.image,
            "sha256": self.sha256,
            "source": self.image.source,
            "width": self.image.width,
            "height": self.image.height,
            "size_bytes": self.image.size_bytes,
            "media_type": self.image.media_type,
            "annotations": [stored(annotation, label_keys) for annotation in self.image.annotations],
            "last_annotation": len(self.image.annotations),
            "signals": vars(self.kept.signals),
            "create_time": self.image.create_time.isoformat(),
            "update_time": self.image.update_time.isoformat(),
        }


_COLUMNS = (
    ImageRow.dataset,
    ImageRow.id,
    ImageRow.sha256,
    ImageRow.source,
    ImageRow.width,
    ImageRow.height,
    ImageRow.size_bytes,
    ImageRow.media_type,
    ImageRow.annotations,
    ImageRow.last_annotation,
    ImageRow.signals,
    ImageRow.create_time,
    ImageRow.update_time,
)
_NEW = (
    func.jsonb_to_recordset(bindparam("rows", type_=JSONB))
    .table_valued(*(column(attribute.key, attribute.type) for attribute in _COLUMNS))
    .render_derived(name="new", with_types=True)
)
# All rows are one parameter: the statement is the same for any number of them, so it is compiled once.
_INSERT = (
    # The table, not the class: SQLAlchemy takes the parameters of an insert of objects to be the objects.
    insert(Base.metadata.tables["labeling.images"])
    .from_select([attribute.key for attribute in _COLUMNS], select(_NEW), include_defaults=False)
    .on_conflict_do_nothing(
        index_elements=[ImageRow.dataset, ImageRow.sha256], index_where=ImageRow.sha256.is_not(None)
    )
    .returning(ImageRow.id)
)


async def _insert(
    session: AsyncSession, dataset: DatasetKey, images: Sequence[_Offered], quotas: Quotas
) -> Set[ImageName]:
    """Inserts those images that the dataset does not have, and returns their names.

    The unique key on (dataset, sha256) decides which of several equal images wins, also between transactions.

    Raises:
        NotFoundError: if the dataset was deleted meanwhile.
        ResourceExhaustedError: if the dataset would have too many images, or the project too many labels.
    """
    if not images:
        return set()
    named = {annotation.label for image in images for annotation in image.image.annotations}
    labels = await label_keys(session, dataset.name.project, named, quotas.labels_per_project)
    # Always in the same order, so that two transactions never wait for each other. Sorting is stable: of equal images
    # in one batch the first wins.
    rows = [image.row(dataset, labels) for image in sorted(images, key=lambda image: image.sha256)]
    names = {image.name.image: image.name for image in images}
    try:
        inserted = {names[image_id] for image_id in await session.scalars(_INSERT, {"rows": rows})}
    except IntegrityError as error:
        if violated_constraint(error) == "fk_images_dataset":
            raise NotFoundError(str(dataset.name)) from error
        raise
    await _require_room(session, dataset, quotas)
    return inserted


async def _require_room(session: AsyncSession, dataset: DatasetKey, quotas: Quotas) -> None:
    if quotas.images_per_dataset is not None:
        count = select(func.sum(ImageTallyRow.images)).where(ImageTallyRow.dataset == dataset.key)
        there = int(await session.scalar(count) or 0)
        require_room(f"images in {dataset.name}", there, quotas.images_per_dataset)


async def _find_contradicted(
    session: AsyncSession, dataset: DatasetKey, images: Sequence[_Offered]
) -> Mapping[str, Image]:
    """Those images that another dataset of the project has with other annotations, by SHA-256."""
    offered = {image.sha256: contents_of(image.image.annotations) for image in images}
    wanted = (
        select(ImageRow, DatasetRow.id)
        .join(DatasetRow, DatasetRow.key == ImageRow.dataset)
        .where(
            DatasetRow.project == dataset.name.project,
            DatasetRow.key != dataset.key,
            ImageRow.sha256 == any_(cast(list(offered), ARRAY(Text))),
        )
    )
    found = (await session.execute(wanted)).all()
    names = await label_names(session, dataset.name.project) if found else {}
    elsewhere = {row.sha256: to_image(DatasetName(dataset.name.project, name), row, names) for row, name in found}
    return {
        sha256: image
        for sha256, image in elsewhere.items()
        if sha256 is not None and contents_of(image.annotations) != offered[sha256]
    }


async def _find(session: AsyncSession, dataset: DatasetKey, sha256s: Iterable[str]) -> Mapping[str, Image]:
    wanted = select(ImageRow).where(
        ImageRow.dataset == dataset.key, ImageRow.sha256 == any_(cast(list(sha256s), ARRAY(Text)))
    )
    names = await label_names(session, dataset.name.project)
    images = [to_image(dataset.name, row, names) for row in await session.scalars(wanted)]
    return {image.sha256: image for image in images if image.sha256 is not None}
