"""Projects."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database
from sightsmith.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from sightsmith.names import ProjectName
from sightsmith.paging import PageRequest, page_of
from sightsmith_labeling.page_keys import id_after
from sightsmith_labeling.tables import ProjectRow

_MAX_DISPLAY_NAME = 255


@dataclass(frozen=True)
class Project:
    """What one team works on."""

    name: ProjectName
    display_name: str
    create_time: datetime


class Projects:
    """The projects in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, name: ProjectName, display_name: str) -> Project:
        """Creates a project, called by its id if `display_name` is empty.

        Raises:
            InvalidArgumentError: if the display name is too long or has control characters.
            AlreadyExistsError: if the project is there.
        """
        row = ProjectRow(id=name.project, display_name=_checked_display_name(display_name) or name.project)
        try:
            async with self._database.transaction() as session:
                session.add(row)
        except IntegrityError as error:
            raise AlreadyExistsError(f"{name} already exists", metadata={"name": str(name)}) from error
        return _to_project(row)

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

    async def list(self, page: PageRequest) -> tuple[Sequence[Project], str]:
        """Returns a page of all projects, ordered by id, and the token of the next page."""
        wanted = select(ProjectRow).order_by(ProjectRow.id).limit(page.size + 1)
        if (after := id_after(page)) is not None:
            wanted = wanted.where(ProjectRow.id > after)
        async with self._database.transaction() as session:
            rows = (await session.scalars(wanted)).all()
        rows, token = page_of(rows, page, key=lambda row: row.id)
        return [_to_project(row) for row in rows], token


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
    if any(unicodedata.category(character) == "Cc" for character in display_name):
        raise InvalidArgumentError.of_field("project.display_name", "must have no control characters")
    return display_name


def _to_project(row: ProjectRow) -> Project:
    return Project(ProjectName(row.id), row.display_name, row.create_time)
