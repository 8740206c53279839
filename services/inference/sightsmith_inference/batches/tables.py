"""The tables of batch prediction jobs."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from sightsmith.database import utc_now
from sightsmith_inference.tables import Base


class BatchJobRow(Base):
    """A job as it stands now."""

    __tablename__ = "batch_jobs"
    __table_args__ = (
        UniqueConstraint("project", "id"),
        UniqueConstraint("project", "request_id"),
        Index("ix_batch_jobs_open", "sequence", postgresql_where=text("end_time IS NULL")),
        CheckConstraint(
            "state IN ('QUEUED', 'RUNNING', 'CANCELLING', 'SUCCEEDED', 'FAILED', 'CANCELLED')", name="state"
        ),
        CheckConstraint("phase IN ('PLANNING', 'PREDICTING', 'FINISHING')", name="phase"),
    )

    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    project: Mapped[str]
    id: Mapped[str]
    request_id: Mapped[uuid.UUID | None]
    actor: Mapped[str]
    # What was asked for.
    spec: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str]
    phase: Mapped[str] = mapped_column(server_default="PLANNING", default="PLANNING")
    # Where the images of its shards are written, below its own folder: each attempt to plan has a place of its own.
    plan: Mapped[str | None]
    # How much there is to do, known once it is planned, and how much is done.
    images: Mapped[int] = mapped_column(server_default="0", default=0)
    skipped: Mapped[int] = mapped_column(server_default="0", default=0)
    shards: Mapped[int] = mapped_column(server_default="0", default=0)
    done_shards: Mapped[int] = mapped_column(server_default="0", default=0)
    answered: Mapped[int] = mapped_column(server_default="0", default=0)
    failed: Mapped[int] = mapped_column(server_default="0", default=0)
    worker_seconds: Mapped[float] = mapped_column(server_default="0", default=0.0)
    model_seconds: Mapped[float] = mapped_column(server_default="0", default=0.0)
    results: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]", default=list)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    # Goes up with every change that a watcher wants to see.
    revision: Mapped[int]
    create_time: Mapped[datetime] = mapped_column(default=utc_now)
    start_time: Mapped[datetime | None]
    # When the first shard could be begun.
    predict_time: Mapped[datetime | None]
    end_time: Mapped[datetime | None]
    # Whether everything that it left behind is deleted.
    is_clean: Mapped[bool] = mapped_column(server_default="false", default=False)


class BatchShardRow(Base):
    """Some images of a job that are answered by one process. Rows are gone when the job has ended."""

    __tablename__ = "batch_shards"
    __table_args__ = (
        Index(
            "ix_batch_shards_open",
            "job",
            "number",
            postgresql_where=text("NOT is_done"),
        ),
    )

    job: Mapped[int] = mapped_column(ForeignKey(BatchJobRow.sequence, ondelete="CASCADE"), primary_key=True)
    # Counted from 0, in the order of the source.
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    images: Mapped[int]
    is_done: Mapped[bool] = mapped_column(server_default="false", default=False)
    # When it was last put on the queue.
    publish_time: Mapped[datetime | None]
    # Who answers it holds a token until a time; finishing counts only with the same token.
    claim_token: Mapped[uuid.UUID | None]
    claim_expire_time: Mapped[datetime | None]
