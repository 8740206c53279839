"""Tables of the schema `training`."""

import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from sightsmith.database import TableBase, schema_metadata, utc_now
from sightsmith.events.tables import OutboxColumns

SCHEMA = "training"
MIGRATIONS = Path(__file__).parent / "migrations"


class Base(TableBase):
    """Tables of this service."""

    __abstract__ = True
    metadata = schema_metadata(SCHEMA)


class Outbox(OutboxColumns, Base):
    """Facts to be published."""


class TrainingJobRow(Base):
    """A training job as it stands now."""

    __tablename__ = "training_jobs"
    __table_args__ = (
        UniqueConstraint("project", "request_id"),
        Index("ix_training_jobs_project_sequence", "project", "sequence"),
        Index("ix_training_jobs_queued", "sequence", postgresql_where=text("state = 'QUEUED'")),
        Index("ix_training_jobs_leased", "lease_expire_time", postgresql_where=text("lease_token IS NOT NULL")),
    )

    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    project: Mapped[str]
    request_id: Mapped[uuid.UUID | None]
    snapshot: Mapped[str]
    manifest_key: Mapped[str]
    manifest_sha256: Mapped[str]
    # Files of embeddings that came with the snapshot: `backbone`, `key`, `sha256`.
    embedding_files: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]", default=list)
    seed: Mapped[int]
    state: Mapped[str]
    progress: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    # Reserved when a model is first published, so that a second try publishes under the same name.
    model_number: Mapped[int | None]
    model: Mapped[str | None]
    attempt: Mapped[int] = mapped_column(default=0)
    revision: Mapped[int] = mapped_column(default=0)
    lease_token: Mapped[uuid.UUID | None]
    lease_expire_time: Mapped[datetime | None]
    create_time: Mapped[datetime] = mapped_column(default=utc_now)
    start_time: Mapped[datetime | None]
    end_time: Mapped[datetime | None]


class TrainingJobRevisionRow(Base):
    """A training job as it stood at each of its revisions; what watches resume from."""

    __tablename__ = "training_job_revisions"

    job_sequence: Mapped[int] = mapped_column(
        ForeignKey("training.training_jobs.sequence", ondelete="CASCADE"), primary_key=True
    )
    revision: Mapped[int] = mapped_column(primary_key=True)
    job: Mapped[dict[str, Any]]


class ModelNumberRow(Base):
    """The last number given to a model of a project."""

    __tablename__ = "model_numbers"

    project: Mapped[str] = mapped_column(primary_key=True)
    last_number: Mapped[int]


class ModelRow(Base):
    """A model version. Never changed."""

    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("project", "number"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    project: Mapped[str]
    number: Mapped[int]
    training_job: Mapped[str] = mapped_column(unique=True)
    snapshot: Mapped[str]
    labels: Mapped[list[str]]
    image_side: Mapped[int]
    seed: Mapped[int]
    candidates: Mapped[list[dict[str, Any]]]
    library_versions: Mapped[dict[str, Any]]
    artifacts: Mapped[list[dict[str, Any]]]
    parity: Mapped[dict[str, Any]]
    evaluation: Mapped[dict[str, Any]]
    training_seconds: Mapped[float]
    create_time: Mapped[datetime] = mapped_column(default=utc_now)


class EvaluatedImageRow(Base):
    """An image that a model was judged by."""

    __tablename__ = "evaluated_images"

    model_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("training.models.id", ondelete="CASCADE"), primary_key=True)
    # The most confident mistakes first.
    rank: Mapped[int] = mapped_column(primary_key=True)
    image: Mapped[str]
    source: Mapped[str]
    true_label: Mapped[str]
    predicted_label: Mapped[str]
    confidence: Mapped[float]
    scores: Mapped[list[float]]
