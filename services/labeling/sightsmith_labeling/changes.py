"""The audit trail: who did what to which resource, and when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Boolean, ColumnElement, Text, and_, any_, cast, func, literal_column, or_, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.actor import current_actor
from sightsmith.database import Database
from sightsmith.logs import current_request_id
from sightsmith.names import ChangeName, ImageName, ProjectName
from sightsmith.paging import PageRequest, page_of
from sightsmith_labeling.tables import CHANGED_IMAGES, HAS_CHANGED_IMAGES, ChangeRow, DatasetRow

_ALL_OF_A_KIND = ".*"
# So many are named by an entry at most, so that an entry stays small enough to be listed.
_IMAGES_TOGETHER = 2000
# Written as the index has them.
_IMAGES = literal_column(CHANGED_IMAGES, JSONB)
_HAS_IMAGES = literal_column(HAS_CHANGED_IMAGES, Boolean)


@dataclass(frozen=True)
class Change:
    """An entry of the audit trail.

    Attributes:
        resource: name of what was changed, which may be gone by now.
        action: what was done, as `images.delete` or `labels.rename`.
        actor: who did it; empty if the caller did not say.
        request_id: of the call that did it.
        details: what was before, what is now, how many; JSON values.
    """

    name: ChangeName
    resource: str
    action: str
    actor: str
    request_id: str
    details: Mapping[str, Any]
    create_time: datetime


@dataclass(frozen=True)
class ChangeFilter:
    """Which changes are meant: those for which everything holds that is set here.

    Attributes:
        resource: name of the resource.
        image: whatever was done to this image, alone or together with others, in whichever dataset of its project.
        action: as `labels.rename`, or all of a kind as `labels.*`.
        actor: who did it.
        after_time: done later.
    """

    resource: str = ""
    image: ImageName | None = None
    action: str = ""
    actor: str = ""
    after_time: datetime | None = None

    def conditions(self) -> Sequence[ColumnElement[bool]]:
        """The filter as conditions on a row."""
        found: list[ColumnElement[bool]] = []
        if self.resource:
            found.append(ChangeRow.resource == self.resource)
        if self.image is not None:
            found.append(_is_about(self.image))
        if self.action.endswith(_ALL_OF_A_KIND):
            found.append(ChangeRow.action.startswith(self.action.removesuffix("*"), autoescape=True))
        elif self.action:
            found.append(ChangeRow.action == self.action)
        if self.actor:
            found.append(ChangeRow.actor == self.actor)
        if self.after_time is not None:
            found.append(ChangeRow.create_time > self.after_time)
        return found


class Changes:
    """The audit trail in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, project: ProjectName, page: PageRequest, wanted: ChangeFilter) -> tuple[Sequence[Change], str]:
        """Returns a page of a project's changes, newest first, and the token of the next page.

        A project that is gone, or never was, is no error: the trail outlives it.
        """
        found = (
            select(ChangeRow)
            .where(ChangeRow.project == project.project, *wanted.conditions())
            .order_by(ChangeRow.key.desc())
            .limit(page.size + 1)
        )
        if page.after is not None:
            found = found.where(ChangeRow.key < page.after_number)
        async with self._database.transaction() as session:
            rows = (await session.scalars(found)).all()
        rows, token = page_of(rows, page, key=lambda row: row.key)
        return [_to_change(row) for row in rows], token


def record(session: AsyncSession, project: str, resource: object, action: str, **details: Any) -> None:
    """Adds an entry to the audit trail, in the transaction that makes the change.

    Args:
        session: the transaction.
        project: id of the project.
        resource: name of what is changed.
        action: what is done, as `images.delete` or `labels.rename`.
        details: what a reader wants to know, as JSON values: what was before, what is now, how many.
    """
    session.add(
        ChangeRow(
            project=project,
            resource=str(resource),
            action=action,
            actor=current_actor(),
            request_id=current_request_id(),
            details=details,
        )
    )


def record_images(
    session: AsyncSession, project: str, resource: object, action: str, images: Sequence[str], **details: Any
) -> None:
    """Adds to the audit trail what is done to many images at once: an entry for each two thousand of them.

    Args:
        session: the transaction.
        project: id of the project.
        resource: name of what the call is about, as of the images' dataset.
        action: what is done.
        images: ids of the images; the trail of each has the entry.
        details: what else a reader wants to know, as JSON values.
    """
    for begin in range(0, len(images), _IMAGES_TOGETHER):
        some = list(images[begin : begin + _IMAGES_TOGETHER])
        record(session, project, resource, action, image_count=len(some), images=some, **details)


def _is_about(image: ImageName) -> ColumnElement[bool]:
    """Whether an entry is about an image. It keeps its id when it moves, but not its name."""
    name = func.replace(str(ImageName(image.project, "{dataset}", image.image)), "{dataset}", DatasetRow.id)
    names = select(func.array_agg(name)).where(DatasetRow.project == image.project).scalar_subquery()
    # Its own name besides, because a dataset may be gone. An array and not a list of rows, which would use no index.
    is_alone = or_(ChangeRow.resource == str(image), ChangeRow.resource == any_(cast(names, ARRAY(Text))))
    return or_(is_alone, and_(_HAS_IMAGES, _IMAGES.contains([image.image])))


def _to_change(row: ChangeRow) -> Change:
    return Change(
        name=ChangeName(row.project, str(row.key)),
        resource=row.resource,
        action=row.action,
        actor=row.actor,
        request_id=row.request_id,
        details=row.details,
        create_time=row.create_time,
    )
