"""Finding suggestions."""

from collections.abc import Sequence
from enum import Enum
from typing import Any

from sqlalchemy import ColumnElement, Select, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database
from sightsmith.errors import InvalidArgumentError, NotFoundError
from sightsmith.names import ImageName, ProjectName, SuggestionName
from sightsmith.paging import PageRequest, page_of
from sightsmith_labeling.numbered_ids import number_of_id
from sightsmith_labeling.projects import require_project
from sightsmith_labeling.suggestions.suggestion import Suggestion, SuggestionFilter, to_suggestion
from sightsmith_labeling.suggestions.tables import SuggestionRow
from sightsmith_labeling.tables import DatasetRow, ImageRow

Found = Select[SuggestionRow, str, str]


class Order(Enum):
    """In which order suggestions are listed."""

    BY_IMAGE = "by image"
    LEAST_CONFIDENT_FIRST = "least confident first"
    MOST_CONFIDENT_FIRST = "most confident first"


class Suggestions:
    """The suggestions in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(
        self, project: ProjectName, wanted: SuggestionFilter, order: Order, page: PageRequest
    ) -> tuple[Sequence[Suggestion], str]:
        """Returns a page of a project's suggestions, and the token of the next page.

        Raises:
            NotFoundError: if the project does not exist.
        """
        query = with_image(*conditions(project, wanted))
        query = _after(query, order, page).limit(page.size + 1)
        async with self._database.transaction() as session:
            await require_project(session, project)
            rows = (await session.execute(query)).tuples().all()
        rows, token = page_of(rows, page, key=lambda found: _key(found[0], order))
        return [to_suggestion(row, ImageName(row.project, dataset, image)) for row, dataset, image in rows], token


def with_image(*conditions: ColumnElement[bool]) -> Found:
    """The suggestions that fulfil conditions, each with the ids of its dataset and its image."""
    return (
        select(SuggestionRow, DatasetRow.id, ImageRow.id)
        .join(ImageRow, ImageRow.sequence == SuggestionRow.image)
        .join(DatasetRow, DatasetRow.key == ImageRow.dataset)
        .where(*conditions)
    )


def conditions(project: ProjectName, wanted: SuggestionFilter) -> Sequence[ColumnElement[bool]]:
    """What a suggestion's row, and those of its image and dataset, must fulfil."""
    found = [SuggestionRow.project == project.project]
    if wanted.states:
        found.append(SuggestionRow.state.in_([state.value for state in wanted.states]))
    if wanted.label:
        found.append(SuggestionRow.label == wanted.label)
    if wanted.model:
        found.append(SuggestionRow.model == wanted.model)
    if wanted.min_confidence > 0:
        found.append(SuggestionRow.confidence >= wanted.min_confidence)
    if wanted.dataset is not None:
        found.append(DatasetRow.id == wanted.dataset.dataset)
    if wanted.image is not None:
        found += [DatasetRow.id == wanted.image.dataset, ImageRow.id == wanted.image.image]
    return found


async def require_all(session: AsyncSession, project: ProjectName, names: Sequence[SuggestionName]) -> Sequence[int]:
    """The keys of suggestions, in ascending order, each once.

    Raises:
        NotFoundError: if one of them does not exist.
    """
    keys = {number_of_id(name.suggestion): name for name in names}
    there = select(SuggestionRow.key).where(
        SuggestionRow.project == project.project, SuggestionRow.key.in_(key for key in keys if key is not None)
    )
    found = set(await session.scalars(there))
    for key, name in keys.items():
        if key not in found:
            raise NotFoundError(str(name))
    return sorted(found)


def _after(query: Found, order: Order, page: PageRequest) -> Found:
    row = SuggestionRow
    match order:
        case Order.BY_IMAGE:
            query = query.order_by(row.image, row.key)
            return query if page.after is None else query.where(tuple_(row.image, row.key) > _image_and_key(page.after))
        case Order.LEAST_CONFIDENT_FIRST:
            query = query.order_by(row.confidence, row.key)
            return query if page.after is None else query.where(tuple_(row.confidence, row.key) > _place(page.after))
        case Order.MOST_CONFIDENT_FIRST:
            query = query.order_by(row.confidence.desc(), row.key.desc())
            return query if page.after is None else query.where(tuple_(row.confidence, row.key) < _place(page.after))


def _key(row: SuggestionRow, order: Order) -> str:
    first = row.image if order is Order.BY_IMAGE else row.confidence
    return f"{first!r}/{row.key}"


def _image_and_key(after: str) -> Any:
    first, key = _place(after)
    return int(first), key


def _place(after: str) -> Any:
    """The place after which a page begins. A token comes back from a client, so it may hold anything."""
    first, _, key = after.partition("/")
    number = number_of_id(key)
    try:
        place = float(first)
    except ValueError:
        place = -1.0
    if number is None or not 0 <= place < 1e18:
        raise InvalidArgumentError.of_field("page_token", "is not a token that this List call returned")
    return place, number
