"""The tables of embeddings."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, LargeBinary, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

from sightsmith.database import utc_now
from sightsmith_labeling.tables import Base, Key, OrderedText

SKETCH_DIMENSIONS = 128


class HalfVector(UserDefinedType[str]):
    """pgvector's `halfvec`: 16-bit floats, written and read as text such as `[0.1,-0.2]`."""

    cache_ok = True

    def __init__(self, dimensions: int | None = None) -> None:
        self.dimensions = dimensions

    def get_col_spec(self, **_: Any) -> str:
        """The type's name in SQL. pgvector may live in any schema; `public` is where it is made here."""
        return "public.halfvec" if self.dimensions is None else f"public.halfvec({self.dimensions})"


class EmbeddingRow(Base):
    """What a backbone sees in an image, whichever datasets and projects the image is in.

    `vector` holds the features exactly as the backbone gave them: float32, little-endian. `direction` and `sketch` are
    made from it for searching (`sketches.py`), where images are searched by this backbone. An image of which no
    embedding can be made has a `problem` in their place, so that it is not tried for ever.
    """

    __tablename__ = "embeddings"
    __table_args__ = (
        CheckConstraint("(vector IS NULL) = (problem IS NOT NULL)", name="vector_or_problem"),
        Index("ix_embeddings_problem", "backbone", "sha256", postgresql_where=text("problem IS NOT NULL")),
        Index(
            "ix_embeddings_sketch",
            "sketch",
            postgresql_using="hnsw",
            postgresql_ops={"sketch": "public.halfvec_l2_ops"},
        ),
    )

    sha256: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    backbone: Mapped[OrderedText] = mapped_column(primary_key=True)
    vector: Mapped[bytes | None] = mapped_column(LargeBinary)
    direction: Mapped[str | None] = mapped_column(HalfVector())
    sketch: Mapped[str | None] = mapped_column(HalfVector(SKETCH_DIMENSIONS))
    problem: Mapped[str | None]
    create_time: Mapped[datetime] = mapped_column(server_default=func.now(), default=utc_now)


class EmbeddingQueueRow(Base):
    """An image that waits for its embeddings. Triggers on `images` add it; one image may stand here twice."""

    __tablename__ = "embedding_queue"
    __table_args__ = (Index("ix_embedding_queue_sha256", "sha256"),)

    key: Mapped[Key]
    sha256: Mapped[str] = mapped_column(Text(collation="C"))
    queue_time: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp(), default=utc_now)
    # Whoever embeds it has it to itself until then.
    claim_expire_time: Mapped[datetime | None]
    # How often it was handed out.
    attempts: Mapped[int] = mapped_column(server_default="0", default=0)
