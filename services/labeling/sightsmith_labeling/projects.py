"""Projects."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database
from sightsmith.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    FieldViolation,
    InvalidArgumentError,
    NotFoundError,
)
from sightsmith.names import ProjectName
from sightsmith.paging import PageRequest, page_of
from sightsmith_labeling import changes
from sightsmith_labeling.discarding import discard_files
from sightsmith_labeling.page_keys import id_after
from sightsmith_labeling.quotas import Quotas, require_room
from sightsmith_labeling.tables import DatasetRow, ProjectRow, SnapshotRow

_MAX_DISPLAY_NAME = 255
# Those of AWS, and its own prefix: a project keeps its tags when it moves there or back.
_MAX_TAGS = 200
_MAX_TAG_NAME = 128
_MAX_TAG_VALUE = 256
_RESERVED_TAGS = "aws:"


@dataclass(frozen=True)
class Project:
    """What one team works on."""

    name: ProjectName
    display_name: str
    tags: Mapping[str, str]
    create_time: datetime


class Projects:
    """The projects in the database."""

    def __init__(self, database: Database, quotas: Quotas) -> None:
        self._database = database
        self._quotas = quotas

    async def create(self, name: ProjectName, display_name: str, tags: Mapping[str, str]) -> Project:
        """Creates a project, called by its id if `display_name` is empty.

        Raises:
            InvalidArgumentError: if the display name or a tag breaks its rules.
            AlreadyExistsError: if the project is there.
            ResourceExhaustedError: if there are as many projects as there may be.
        """
        row = ProjectRow(
            id=name.project,
            display_name=_checked_display_name(display_name) or name.project,
            tags=_checked_tags(tags),
        )
        try:
            async with self._database.transaction() as session:
                await self._require_room(session)
                session.add(row)
                changes.record(session, name.project, name, "projects.create", **_as_json(row))
        except IntegrityError as error:
            raise AlreadyExistsError(f"{name} already exists", metadata={"name": str(name)}) from error
        return _to_project(row)

    async def update(
        self, name: ProjectName, display_name: str | None = None, tags: Mapping[str, str] | None = None
    ) -> Project:
        """Changes what a project is called, its tags, or both; what is None stays.

        Raises:
            InvalidArgumentError: if the display name or a tag breaks its rules.
            NotFoundError: if the project does not exist.
        """
        async with self._database.transaction() as session:
            row = await session.get(ProjectRow, name.project, with_for_update=True)
            if row is None:
                raise NotFoundError(str(name))
            before = _as_json(row)
            if display_name is not None:
                row.display_name = _checked_display_name(display_name) or name.project
            if tags is not None:
                row.tags = _checked_tags(tags)
            changes.record(session, name.project, name, "projects.update", before=before, after=_as_json(row))
        return _to_project(row)

    async def delete(self, name: ProjectName, force: bool) -> None:
        """Deletes a project. Its audit trail, the bytes of its images and the manifests of its snapshots stay.

        Args:
            name: of the project.
            force: deletes its datasets, labels and snapshots too.

        Raises:
            NotFoundError: if it does not exist.
            FailedPreconditionError: with the reason IN_USE, if it has datasets or snapshots and `force` is not set.
        """
        async with self._database.transaction() as session:
            row = await session.get(ProjectRow, name.project, with_for_update=True)
            if row is None:
                raise NotFoundError(str(name))
            datasets = (
                await session.scalars(select(DatasetRow.id).where(DatasetRow.project == name.project).with_for_update())
            ).all()
            snapshots = await session.scalar(
                select(func.count()).select_from(SnapshotRow).where(SnapshotRow.project == name.project)
            )
            if (datasets or snapshots) and not force:
                message = f"{name} has {len(datasets)} datasets and {snapshots} snapshots: delete it with force"
                raise FailedPreconditionError(message, reason="IN_USE", metadata={"name": str(name)})
            details = {"datasets": list(datasets), "snapshot_count": snapshots}
            changes.record(session, name.project, name, "projects.delete", **details, **_as_json(row))
            await discard_files(session, name)
            # By itself, not through the session: the database takes what belongs to it along.
            await session.execute(delete(ProjectRow).where(ProjectRow.id == name.project))

    async def get(self, name: ProjectName) -> Project:
        """Returns a project.

        Raises:
            NotFoundError: if it does not exist.
        """
        async with self._database.transaction() as session:
            row = await session.get(ProjectRow, name.project)
        if row is None:
            raise NotFoundError(str(name))
        return _to_project(row)

    async def list(self, page: PageRequest, names: Sequence[ProjectName] = ()) -> tuple[Sequence[Project], str]:
        """Returns a page of all projects, or of those that are named, ordered by id, and the token of the next page."""
        wanted = select(ProjectRow).order_by(ProjectRow.id).limit(page.size + 1)
        if names:
            wanted = wanted.where(ProjectRow.id.in_([name.project for name in names]))
        if (after := id_after(page)) is not None:
            wanted = wanted.where(ProjectRow.id > after)
        async with self._database.transaction() as session:
            rows = (await session.scalars(wanted)).all()
        rows, token = page_of(rows, page, key=lambda row: row.id)
        return [_to_project(row) for row in rows], token

    async def _require_room(self, session: AsyncSession) -> None:
        if self._quotas.projects is not None:
            there = await session.scalar(select(func.count()).select_from(ProjectRow)) or 0
            require_room("projects", there + 1, self._quotas.projects)


async def require_project(session: AsyncSession, name: ProjectName) -> None:
    """Makes sure that a project exists.

    Raises:
        NotFoundError: if it does not.
    """
    if await session.scalar(select(ProjectRow.id).where(ProjectRow.id == name.project)) is None:
        raise NotFoundError(str(name))


def _checked_display_name(display_name: str) -> str:
    if len(display_name) > _MAX_DISPLAY_NAME:
        rule = f"must have at most {_MAX_DISPLAY_NAME} characters, not {len(display_name)}"
        raise InvalidArgumentError.of_field("project.display_name", rule)
    if _has_control_characters(display_name):
        raise InvalidArgumentError.of_field("project.display_name", "must have no control characters")
    return display_name


def _checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    if len(tags) > _MAX_TAGS:
        raise InvalidArgumentError.of_field("project.tags", f"must be at most {_MAX_TAGS}, not {len(tags)}")
    violations = [
        FieldViolation(f"project.tags[{name[:_MAX_TAG_NAME]!r}]", problem)
        for name, value in sorted(tags.items())
        if (problem := _tag_problem(name, value)) is not None
    ]
    if violations:
        message = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        raise InvalidArgumentError(message, violations=violations)
    return dict(tags)


def _tag_problem(name: str, value: str) -> str | None:
    if not 1 <= len(name) <= _MAX_TAG_NAME or _has_control_characters(name):
        return f"must have a name of 1 to {_MAX_TAG_NAME} characters without control characters"
    if name.lower().startswith(_RESERVED_TAGS):
        return f"must have a name that does not begin with {_RESERVED_TAGS!r}"
    if len(value) > _MAX_TAG_VALUE or _has_control_characters(value):
        return f"must have a value of at most {_MAX_TAG_VALUE} characters without control characters"
    return None


def _has_control_characters(text: str) -> bool:
    return any(unicodedata.category(character) == "Cc" for character in text)


def _as_json(row: ProjectRow) -> dict[str, Any]:
    return {"display_name": row.display_name, "tags": dict(row.tags)}


def _to_project(row: ProjectRow) -> Project:
    return Project(ProjectName(row.id), row.display_name, dict(row.tags), row.create_time)
