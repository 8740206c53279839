"""Pairs of images of a project that are nearly the same."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from sightsmith.database import Database
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import ProjectName
from sightsmith.paging import PageRequest, page_of
from sightsmith_labeling.embeddings.nearest import similarity_of, use_index
from sightsmith_labeling.embeddings.scope import Scope, scope_of
from sightsmith_labeling.embeddings.tables import EmbeddingRow
from sightsmith_labeling.images import Image
from sightsmith_labeling.tables import ImageRow

DEFAULT_SIMILARITY = 0.95
# Nearest neighbours, of all projects, that are looked at for each image.
_NEIGHBOURS = 40
_EF_SEARCH = 100
# By how much the distance of two sketches may be beside the distance of their vectors, in all but very few cases.
_SKETCH_MARGIN = 1.5

_Pair = tuple[int, int]


@dataclass(frozen=True)
class NearDuplicates:
    """Two images that are nearly the same, the one that came first at the beginning; similarity 0 to 1."""

    first: Image
    second: Image
    similarity: float


@dataclass(frozen=True)
class _Place:
    sequence: int
    sha256: str


class NearDuplicateSearch:
    """Looks for pairs among the images of a project, within a dataset and across datasets."""

    def __init__(self, database: Database, backbone: str) -> None:
        self._database = database
        self._backbone = backbone

    async def list(
        self, project: ProjectName, min_similarity: float, page: PageRequest
    ) -> tuple[Sequence[NearDuplicates], str]:
        """The pairs of which the earlier image is on a page of all images, and the token of the next page.

        Of an image with very many near duplicates, the nearest ones alone are found.

        Args:
            project: where to look.
            min_similarity: above 0, at most 1; 0 for the default.
            page: of the images in their order of arrival.

        Raises:
            InvalidArgumentError: if the similarity makes no sense.
            NotFoundError: if the project does not exist.
        """
        least = min_similarity or DEFAULT_SIMILARITY
        if not 0 < least <= 1:
            raise InvalidArgumentError.of_field(
                "min_similarity", f"must be above 0 and at most 1, not {min_similarity}"
            )
        async with self._database.transaction() as session:
            scope = await scope_of(session, project)
            assert scope is not None  # noqa: S101 - no labels were asked for
            places = await _places(session, scope, page)
            here, token = page_of(places, page, key=lambda place: place.sequence)
            pairs = await self._pairs(session, scope, here, least)
            images = {sequence for pair in pairs for sequence in pair}
            found = dict(await scope.images(session, ImageRow.sequence.in_(images)))
        return [
            NearDuplicates(found[first], found[second], similarity) for (first, second), similarity in pairs.items()
        ], token

    async def _pairs(
        self, session: AsyncSession, scope: Scope, places: Sequence[_Place], least: float
    ) -> Mapping[_Pair, float]:
        """Similarities of those pairs that are similar enough, by the images' places in the order of arrival."""
        await use_index(session, _EF_SEARCH)
        mine, theirs, other = aliased(EmbeddingRow), aliased(EmbeddingRow), aliased(ImageRow)
        distance = theirs.sketch.op("<->")(mine.sketch)
        # For vectors of length 1 the square of the distance is twice what the cosine lacks to 1.
        reach = _SKETCH_MARGIN * math.sqrt(2 * (1 - least)) + 0.01
        neighbours = (
            select(
                theirs.sha256,
                distance.label("distance"),
                similarity_of(theirs.direction, mine.direction).label("similarity"),
            )
            .where(theirs.backbone == self._backbone)
            .order_by(distance)
            .limit(_NEIGHBOURS)
            .lateral()
        )
        query = (
            select(ImageRow.sequence, other.sequence, neighbours.c.similarity)
            .join(mine, mine.sha256 == ImageRow.sha256)
            .join(neighbours, true())
            .join(other, other.sha256 == neighbours.c.sha256)
            .where(
                ImageRow.sequence.in_([place.sequence for place in places]),
                mine.backbone == self._backbone,
                mine.sketch.is_not(None),
                neighbours.c.distance <= reach,
                neighbours.c.similarity >= least,
                other.dataset.in_(scope.datasets),
                other.state == "ready",
                other.sequence > ImageRow.sequence,
            )
        )
        found = (await session.execute(query)).tuples()
        return {(first, second): similarity for first, second, similarity in sorted(found)}


async def _places(session: AsyncSession, scope: Scope, page: PageRequest) -> Sequence[_Place]:
    wanted = select(ImageRow.sequence, ImageRow.sha256).where(scope.condition).order_by(ImageRow.sequence)
    if page.after is not None:
        wanted = wanted.where(ImageRow.sequence > page.after_number)
    rows = await session.execute(wanted.limit(page.size + 1))
    return [_Place(sequence, sha256) for sequence, sha256 in rows.tuples() if sha256 is not None]
