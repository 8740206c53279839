"""The audit trail: who did what to which resource, and when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.actor import current_actor
from sightsmith.database import Database
from sightsmith.logs import current_request_id
from sightsmith.names import ChangeName, ProjectName
from sightsmith.paging import PageRequest, page_of
from sightsmith_labeling.tables import ChangeRow

_ALL_OF_A_KIND = ".*"


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
        action: as `labels.rename`, or all of a kind as `labels.*`.
        actor: who did it.
        after_time: done later.
    """

    resource: str = ""
    action: str = ""
    actor: str = ""
    after_time: datetime | None = None

    def conditions(self) -> Sequence[ColumnElement[bool]]:
        """The filter as conditions on a row."""
        found: list[ColumnElement[bool]] = []
        if self.resource:
            found.append(ChangeRow.resource == self.resource)
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
