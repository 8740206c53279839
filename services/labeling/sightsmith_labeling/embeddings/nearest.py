"""The images whose embeddings are nearest to a given one.

Candidates are found by their sketches, then compared by their directions. Among many images the candidates come from an
index (HNSW), which is asked for more until enough of them are in the scope; in a small scope every image is one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, SQLColumnExpression, cast, func, literal, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith_labeling.embeddings.scope import Scope
from sightsmith_labeling.embeddings.sketches import Vectors, directions, sketches, vector_text
from sightsmith_labeling.embeddings.tables import SKETCH_DIMENSIONS, EmbeddingRow, HalfVector
from sightsmith_labeling.tables import ImageRow

# Enough that the nearest are among the nearest by sketch; each costs the reading of a direction.
_MIN_CANDIDATES = 80
_CANDIDATES_PER_RESULT = 4
# What the index looks at to find the candidates; docs/performance.md has what more and less of it gives. pgvector
# allows 1000 at most.
_MIN_ENTRIES = 400
_MAX_ENTRIES = 1000
# A scope of so few images is searched whole whatever else there is.
_FEW_IMAGES = 2000
# What it costs to look at an entry of the index and to try its images, beside what an image of the scope costs when
# all are compared.
_INDEX_COST = 2.5
_WITHOUT = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_bitmapscan")


Direction = SQLColumnExpression[str | None] | SQLColumnExpression[str]
"""A direction in SQL."""


@dataclass(frozen=True)
class Near:
    """An image, by the SHA-256 of its bytes, and its similarity, 0 to 1."""

    sha256: str
    similarity: float


async def nearest(session: AsyncSession, scope: Scope, backbone: str, vector: Vectors, count: int) -> Sequence[Near]:
    """The images of a scope that are most similar to an embedding.

    Args:
        session: the transaction; its settings are changed until it ends.
        scope: where to look.
        backbone: content name of the backbone that made the embedding.
        vector: the embedding, float32 of shape [features].
        count: how many are wanted at most.

    Returns:
        The images, the most similar first.
    """
    if not scope.datasets:
        return ()
    wanted = max(_MIN_CANDIDATES, _CANDIDATES_PER_RESULT * count)
    if await _is_small(session, scope, wanted):
        candidates = _among_all(scope, backbone, vector)
    else:
        await use_index(session, min(max(_MIN_ENTRIES, wanted), _MAX_ENTRIES), _WITHOUT)
        candidates = _by_index(scope, backbone, vector)
    chosen = candidates.limit(wanted).cte("candidates").prefix_with("MATERIALIZED")
    similarity = similarity_of(chosen.c.direction, cast(literal(vector_text(directions(vector))), HalfVector()))
    query = select(chosen.c.sha256, similarity).order_by(similarity.desc(), chosen.c.sha256).limit(count)
    return [Near(sha256, found) for sha256, found in (await session.execute(query)).tuples()]


def similarity_of(direction: Direction, other: Direction) -> ColumnElement[float]:
    """The similarity of two embeddings in SQL, 0 to 1: rounding may carry a cosine a hair beyond."""
    return func.greatest(0.0, func.least(1.0, 1 - direction.op("<=>")(other)))


async def _is_small(session: AsyncSession, scope: Scope, candidates: int) -> bool:
    """Whether it is quicker to compare every image of the scope than to go through the index.

    Of `all` entries of the index, `candidates × all / size` have to be seen to meet enough that are in the scope.
    """
    size = await scope.size(session)
    if size <= _FEW_IMAGES:
        return True
    estimate = text("SELECT reltuples FROM pg_class WHERE oid = 'labeling.embeddings'::regclass")
    entries = max(float(await session.scalar(estimate) or 0), size)
    return size < _INDEX_COST * candidates * entries / size


def _among_all(scope: Scope, backbone: str, vector: Vectors) -> Select[str, str | None]:
    inside = select(ImageRow.sha256).where(scope.condition).distinct().cte("inside").prefix_with("MATERIALIZED")
    return (
        select(EmbeddingRow.sha256, EmbeddingRow.direction)
        .join(inside, inside.c.sha256 == EmbeddingRow.sha256)
        .where(EmbeddingRow.backbone == backbone, EmbeddingRow.sketch.is_not(None))
        # Not the bare distance: the index would be used, which has all the others in it.
        .order_by(_distance(vector) + 0)
    )


def _by_index(scope: Scope, backbone: str, vector: Vectors) -> Select[str, str | None]:
    """Entries in the order of the index, for each of them a look at its images: the only plan that is quick."""
    inside = select(ImageRow.sequence).where(ImageRow.sha256 == EmbeddingRow.sha256, scope.condition)
    return (
        select(EmbeddingRow.sha256, EmbeddingRow.direction)
        .where(EmbeddingRow.backbone == backbone, inside.exists())
        .order_by(_distance(vector))
    )


async def use_index(session: AsyncSession, entries: int, without: Sequence[str] = ()) -> None:
    """Makes the index give so many entries at a time until a query has enough, for the rest of the transaction.

    Args:
        session: the transaction.
        entries: the more, the surer it is that the nearest are among them.
        without: settings of PostgreSQL's planner to turn off.
    """
    settings = {"hnsw.iterative_scan": "relaxed_order", "hnsw.ef_search": str(entries), **dict.fromkeys(without, "off")}
    # All at once: each statement on its own is a journey to the database.
    await session.execute(select(*(func.set_config(name, value, True) for name, value in settings.items())))


def _distance(vector: Vectors) -> ColumnElement[float]:
    sketch = cast(literal(vector_text(sketches(vector))), HalfVector(SKETCH_DIMENSIONS))
    return EmbeddingRow.sketch.op("<->")(sketch)
