"""Keeping embeddings, and reading them back."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith_labeling.embeddings.sketches import Vectors, directions, sketches, vector_text
from sightsmith_labeling.embeddings.tables import EmbeddingRow

DEFAULT_BACKBONE = "efficientnet-lite1-240px-77cc7160d37bebc1-export1"
"""Content name of the backbone whose embeddings are searched: the one that quick trainings learn from, too."""

_FLOAT32 = np.dtype("<f4")


@dataclass(frozen=True)
class NewEmbedding:
    """What a backbone said of an image: its features, float32 of shape [features], or why there are none."""

    sha256: str
    vector: Vectors | None = None
    problem: str | None = None


async def keep(session: AsyncSession, backbone: str, embeddings: Sequence[NewEmbedding], *, searchable: bool) -> None:
    """Keeps embeddings; those that are there already stay as they are, so that what was told of them stays true.

    Args:
        session: the transaction.
        backbone: content name of the backbone.
        embeddings: of images that are given once each.
        searchable: whether similar images are looked for by this backbone.
    """
    rows = [_row(backbone, embedding, searchable) for embedding in sorted(embeddings, key=lambda new: new.sha256)]
    if rows:
        await session.execute(insert(EmbeddingRow).on_conflict_do_nothing(), rows)


async def vectors_of(session: AsyncSession, sha256s: Collection[str], backbone: str) -> Mapping[str, Vectors]:
    """The embeddings of images, float32 of shape [features] each, by SHA-256; without those that are not there yet.

    Args:
        session: the transaction.
        sha256s: the images; a few thousand at a time, because each takes some kilobytes.
        backbone: content name of the backbone.
    """
    wanted = select(EmbeddingRow.sha256, EmbeddingRow.vector).where(
        EmbeddingRow.sha256.in_(sha256s), EmbeddingRow.backbone == backbone, EmbeddingRow.vector.is_not(None)
    )
    rows = (await session.execute(wanted)).tuples()
    return {sha256: read_vector(vector) for sha256, vector in rows if vector is not None}


def read_vector(data: bytes) -> Vectors:
    """Features from their bytes."""
    return np.frombuffer(data, _FLOAT32)


def _row(backbone: str, embedding: NewEmbedding, searchable: bool) -> dict[str, object]:
    row: dict[str, object] = {"sha256": embedding.sha256, "backbone": backbone, "problem": embedding.problem}
    # Each row names every column: they go to the database as one statement.
    row |= dict.fromkeys(("vector", "direction", "sketch"))
    if (vector := embedding.vector) is not None:
        row["vector"] = vector.astype(_FLOAT32).tobytes()
        if searchable:
            row["direction"] = vector_text(directions(vector))
            row["sketch"] = vector_text(sketches(vector))
    return row
