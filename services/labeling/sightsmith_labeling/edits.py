"""Changing the annotations of images: the one place that does it, so that no edit is lost and each is on record."""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import BigInteger, column, func, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import utc_now
from sightsmith.errors import AbortedError, FieldViolation, InvalidArgumentError, NotFoundError
from sightsmith.names import DatasetName, ImageName, ProjectName
from sightsmith_labeling import changes
from sightsmith_labeling.annotations import stored
from sightsmith_labeling.edited_image import EditedImage
from sightsmith_labeling.images import Image, etag_of, images_named, to_image
from sightsmith_labeling.labels import label_keys, label_names
from sightsmith_labeling.quotas import Quotas
from sightsmith_labeling.tables import DatasetRow, ImageRow

__all__ = ["EditedImage", "edit_images"]

# Locked images, by their place in the order of arrival.
_Locked = Mapping[int, EditedImage]


async def edit_images(
    session: AsyncSession,
    project: ProjectName,
    names: Sequence[ImageName],
    change: Callable[[EditedImage], None],
    *,
    action: str,
    etags: Mapping[ImageName, str] | None = None,
    quotas: Quotas | None = None,
) -> Sequence[Image]:
    """Edits the annotations of images of one project: all of them or, if anything is wrong, none.

    The images stay locked until the transaction ends, so an edit sees what every edit before it has done.

    Args:
        session: the transaction.
        project: the images' project.
        names: the images; each is edited once.
        change: edits one image.
        action: what is done, for the audit trail, as in `annotations.create`.
        etags: what an image's etag must still be.
        quotas: upper limits; only that on the length of labels if left out.

    Returns:
        The images as they are now, in the order of `names`, each once.

    Raises:
        NotFoundError: if one of the images does not exist.
        AbortedError: with the reason ETAG_MISMATCH, if an image was changed since its etag was read.
        InvalidArgumentError: with everything that is wrong with the new annotations.
        ResourceExhaustedError: if the project would have too many labels.
    """
    quotas = quotas or Quotas()
    locked = await _lock(session, project, names, quotas)
    images = {image.name: image for image in locked.values()}
    for name in names:
        if name not in images:
            raise NotFoundError(str(name))
    for name in images:
        check_etag(name, images[name].revision, (etags or {}).get(name))
    wanted = [images[name] for name in dict.fromkeys(names)]
    for image in wanted:
        change(image)
    _check(wanted)
    changed = {sequence: image for sequence, image in locked.items() if image.is_changed}
    await _write(session, project, changed, quotas)
    for image in changed.values():
        changes.record(session, project.project, image.name, action, **image.difference)
    return [image.image for image in wanted]


def check_etag(name: object, revision: int, etag: str | None) -> None:
    """Makes sure that nobody has changed what the caller read.

    Args:
        name: what it is.
        revision: that it has now.
        etag: that the caller read; empty or None if any will do.

    Raises:
        AbortedError: with the reason ETAG_MISMATCH, if it is another one now.
    """
    now = etag_of(revision)
    if etag and etag != now:
        message = f"{name} was changed meanwhile: its etag is {now}, not {etag[:80]}; read it again"
        raise AbortedError(message, metadata={"name": str(name), "etag": now})


async def _lock(session: AsyncSession, project: ProjectName, names: Sequence[ImageName], quotas: Quotas) -> _Locked:
    # A dataset that is being deleted takes its images along; asked first, it is never waited for with images in hand.
    datasets = {name.dataset for name in names}
    held = select(DatasetRow.key).where(DatasetRow.project == project.project, DatasetRow.id.in_(datasets))
    await session.execute(held.order_by(DatasetRow.key).with_for_update(read=True, key_share=True))
    # In the order of arrival, so that two transactions never wait for each other.
    wanted = images_named(project, names).order_by(ImageRow.sequence).with_for_update(of=ImageRow)
    # What an earlier edit in the same transaction has loaded is not what the row holds now.
    rows = (await session.execute(wanted, execution_options={"populate_existing": True})).all()
    labels = await label_names(session, project.project)
    return {
        row.sequence: EditedImage(
            to_image(DatasetName(project.project, dataset), row, labels), row.last_annotation, quotas
        )
        for row, dataset in rows
    }


def _check(images: Sequence[EditedImage]) -> None:
    violations = [
        FieldViolation(
            violation.field if len(images) == 1 else f"{image.name}: {violation.field}", violation.description
        )
        for image in images
        for violation in image.violations
    ]
    if violations:
        message = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        raise InvalidArgumentError(message, violations=violations)


async def _write(session: AsyncSession, project: ProjectName, images: _Locked, quotas: Quotas) -> None:
    """Writes all images by one statement, which the tallies count at once."""
    if not images:
        return
    labels = {annotation.label for image in images.values() for annotation in image.annotations}
    keys = await label_keys(session, project.project, labels, quotas.labels_per_project)
    rows = [
        {
            "sequence": sequence,
            "annotations": [stored(annotation, keys) for annotation in image.annotations],
            "last_annotation": image.last_annotation,
            "problems": [vars(problem) for problem in image.problems],
        }
        for sequence, image in images.items()
    ]
    new = (
        func.jsonb_to_recordset(literal(rows, JSONB))
        .table_valued(
            column("sequence", BigInteger),
            column("annotations", JSONB),
            column("last_annotation", BigInteger),
            column("problems", JSONB),
        )
        .render_derived(name="new", with_types=True)
    )
    await session.execute(
        update(ImageRow)
        .where(ImageRow.sequence == new.c.sequence)
        .values(
            annotations=new.c.annotations,
            last_annotation=new.c.last_annotation,
            problems=new.c.problems,
            revision=ImageRow.revision + 1,
            update_time=utc_now(),
        ),
        execution_options={"synchronize_session": False},
    )
