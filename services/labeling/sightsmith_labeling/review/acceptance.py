"""How an accepted review item becomes a labelled image of the project's TRAIN dataset."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.names import DatasetName, ImageName, ProjectName
from sightsmith_labeling import changes
from sightsmith_labeling.annotations import NewAnnotation, Origin
from sightsmith_labeling.datasets import DatasetKey, Split
from sightsmith_labeling.edits import EditedImage, edit_images
from sightsmith_labeling.joining import NewImage, join_within
from sightsmith_labeling.kept_image import KeptImage
from sightsmith_labeling.overlaps import Content, unmatched
from sightsmith_labeling.quotas import Quotas
from sightsmith_labeling.tables import DatasetRow, ImageRow

# What the dataset is called if the project has none yet; the second if another one has that name.
_DATASET_IDS = ("train", "reviewed")


async def become_labelled_image(
    session: AsyncSession,
    project: ProjectName,
    kept: KeptImage,
    labels: Sequence[Content],
    author: str,
    quotas: Quotas,
) -> ImageName:
    """Puts an image with its labels into the TRAIN dataset, which is made if the project has none.

    An image that is there already gets the labels that it does not have. One of the TEST dataset stays as it is and
    where it is: a model that has learned from an image cannot be judged by it.

    Args:
        session: the transaction.
        project: whose dataset.
        kept: the image, whose bytes are stored.
        labels: what it shows.
        author: the person who says so.
        quotas: upper limits.

    Returns:
        The name of the image.

    Raises:
        InvalidArgumentError: if a label is none that an image takes.
        ResourceExhaustedError: if a quota is used up.
    """
    if (test_image := await _find_test_image(session, project, kept.sha256)) is not None:
        return test_image
    annotations = tuple(NewAnnotation(label, box, Origin.PERSON, author) for label, box in labels)
    dataset = await _train_dataset(session, project)
    (joined,) = await join_within(session, dataset, [NewImage(kept, annotations)], quotas)
    if not joined.is_new:
        await _merge(session, project, joined.image.name, annotations, quotas)
    return joined.image.name


async def _find_test_image(session: AsyncSession, project: ProjectName, sha256: str) -> ImageName | None:
    wanted = (
        select(DatasetRow.id, ImageRow.id)
        .join(DatasetRow, DatasetRow.key == ImageRow.dataset)
        .where(DatasetRow.project == project.project, DatasetRow.split == Split.TEST.value, ImageRow.sha256 == sha256)
    )
    found = (await session.execute(wanted)).first()
    return ImageName(project.project, *found) if found is not None else None


async def _train_dataset(session: AsyncSession, project: ProjectName) -> DatasetKey:
    for dataset_id in (None, *_DATASET_IDS):
        if dataset_id is not None:
            await _make_train_dataset(session, DatasetName(project.project, dataset_id))
        wanted = select(DatasetRow).where(DatasetRow.project == project.project, DatasetRow.split == Split.TRAIN.value)
        if (row := await session.scalar(wanted)) is not None:
            return DatasetKey(DatasetName(project.project, row.id), row.key)
    raise AssertionError("one of two names is free")


async def _make_train_dataset(session: AsyncSession, name: DatasetName) -> None:
    """Makes the dataset, unless the name is taken or somebody else was quicker."""
    new = insert(DatasetRow).values(project=name.project, id=name.dataset, split=Split.TRAIN.value)
    if await session.scalar(new.on_conflict_do_nothing().returning(DatasetRow.key)) is not None:
        changes.record(session, name.project, name, "datasets.create", split=Split.TRAIN.value)


async def _merge(
    session: AsyncSession,
    project: ProjectName,
    name: ImageName,
    annotations: Sequence[NewAnnotation],
    quotas: Quotas,
) -> None:
    def merge(image: EditedImage) -> None:
        offered = {(annotation.label, annotation.box): annotation for annotation in annotations}
        _, news = unmatched([annotation.content for annotation in image.annotations], list(offered))
        for content in news:
            image.add(offered[content])

    await edit_images(session, project, [name], merge, action="review.accept", quotas=quotas)
