"""The tables of the schema `inference`."""

import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from sightsmith.database import TableBase, schema_metadata, utc_now
from sightsmith.events.tables import HandledEventColumns, OutboxColumns

SCHEMA = "inference"
MIGRATIONS = Path(__file__).parent / "migrations"


class Base(TableBase):
    """Base of the tables of this service."""

    __abstract__ = True

    metadata = schema_metadata(SCHEMA)


class ModelRow(Base):
    """A model version whose files stand in the Triton repository."""

    __tablename__ = "models"
    __table_args__ = (
        CheckConstraint("task IN ('classification', 'multi_label_classification', 'detection')", name="task"),
        CheckConstraint("cardinality(thresholds) = cardinality(labels)", name="thresholds"),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    task: Mapped[str] = mapped_column(server_default="classification")
    labels: Mapped[list[str]]
    # In the order of the labels.
    thresholds: Mapped[list[float] | None]
    image_side: Mapped[int]
    stage_time: Mapped[datetime] = mapped_column(default=utc_now)


class TritonModelRow(Base):
    """A model version in one format, as Triton knows it. Never changed: another file has another name."""

    __tablename__ = "triton_models"
    __table_args__ = (
        UniqueConstraint("model", "runtime"),
        CheckConstraint("runtime IN ('onnx', 'torchscript', 'onnx_int8', 'onnx_fp16')", name="runtime"),
        CheckConstraint("max_batch_size > 0", name="max_batch_size"),
        CheckConstraint("recommended_for <@ ARRAY['cpu', 'gpu']", name="recommended_for"),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(ForeignKey(ModelRow.name))
    runtime: Mapped[str]
    max_batch_size: Mapped[int]
    # For which of Triton's processors the model version recommends it.
    recommended_for: Mapped[list[str]] = mapped_column(server_default="{}", default=list)
    # Which set-up is fastest, where that was measured: `Profile`.
    profile: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))


class RecordedAnswersRow(Base):
    """What the training of a model version recorded of stored images: `RecordedAnswer`."""

    __tablename__ = "recorded_answers"

    model: Mapped[str] = mapped_column(ForeignKey(ModelRow.name, ondelete="CASCADE"), primary_key=True)
    answers: Mapped[list[dict[str, Any]]]
    fetch_time: Mapped[datetime] = mapped_column(default=utc_now)


class StagingRequestRow(Base):
    """A model version that is to be staged ahead of any deployment."""

    __tablename__ = "staging_requests"

    model: Mapped[str] = mapped_column(primary_key=True)
    request_time: Mapped[datetime] = mapped_column(default=utc_now)


class DeletedModelRow(Base):
    """A model version that was deleted where it was trained, and is to be forgotten."""

    __tablename__ = "deleted_models"

    model: Mapped[str] = mapped_column(primary_key=True)


class DeploymentRow(Base):
    """A name under which models answer: which release is wanted, and which one answers."""

    __tablename__ = "deployments"
    __table_args__ = (
        UniqueConstraint("project", "deployment_id"),
        CheckConstraint(
            "state IN ('STARTING', 'RUNNING', 'UPDATING', 'FAILED', 'STOPPING', 'STOPPED', 'IDLE')", name="state"
        ),
        CheckConstraint(
            "state NOT IN ('RUNNING', 'UPDATING') OR serving_release IS NOT NULL", name="serving_when_it_answers"
        ),
        CheckConstraint(
            "min_replicas >= 1 AND replicas BETWEEN min_replicas AND max_replicas AND idle_seconds >= 0",
            name="replicas",
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    project: Mapped[str]
    deployment_id: Mapped[str]
    # Counts the wishes of users; whoever works for an older wish finds that it may not write any more.
    generation: Mapped[int] = mapped_column(default=1)
    # Counts all changes.
    revision: Mapped[int] = mapped_column(server_default="1", default=1)
    state: Mapped[str]
    wanted_release: Mapped[int] = mapped_column(default=1)
    # While STARTING: what served before the inference server lost it or it was stopped, and is to come back.
    serving_release: Mapped[int | None]
    # Which predictions are kept for review: a `SamplingPolicy`, of which what is missing is as it is by default.
    sampling: Mapped[dict[str, float]] = mapped_column(JSONB, server_default="{}", default=dict)
    # A model version in place of its own: `Proposal`.
    proposal: Mapped[dict[str, Any] | None]
    # What is wanted: `ReplicaRange`, and whether set-ups are measured.
    min_replicas: Mapped[int] = mapped_column(server_default="1", default=1)
    max_replicas: Mapped[int] = mapped_column(server_default="1", default=1)
    idle_seconds: Mapped[int] = mapped_column(server_default="0", default=0)
    is_tuned: Mapped[bool] = mapped_column(server_default="false", default=False)
    # What is: `Scale`.
    replicas: Mapped[int] = mapped_column(server_default="1", default=1)
    ready_replicas: Mapped[int] = mapped_column(server_default="0", default=0)
    replicas_reason: Mapped[str] = mapped_column(server_default="", default="")
    replicas_time: Mapped[datetime | None]
    last_use_time: Mapped[datetime | None]
    error_code: Mapped[int | None]
    error_reason: Mapped[str | None]
    error_message: Mapped[str | None]
    create_time: Mapped[datetime] = mapped_column(default=utc_now)
    update_time: Mapped[datetime] = mapped_column(default=utc_now)


class ReleaseRow(Base):
    """What is to answer together under a deployment's name. Those that served before are kept, to go back to them."""

    __tablename__ = "releases"

    deployment: Mapped[uuid.UUID] = mapped_column(ForeignKey(DeploymentRow.id, ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    serve_time: Mapped[datetime | None]


class TargetRow(Base):
    """A model version in a release."""

    __tablename__ = "targets"
    __table_args__ = (
        ForeignKeyConstraint(["deployment", "release"], [ReleaseRow.deployment, ReleaseRow.number], ondelete="CASCADE"),
        Index(None, "triton_model"),
        CheckConstraint("runtime IN ('recommended', 'onnx', 'torchscript', 'onnx_int8', 'onnx_fp16')", name="runtime"),
        CheckConstraint("share BETWEEN 0 AND 1", name="share"),
    )

    deployment: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    release: Mapped[int] = mapped_column(primary_key=True)
    alias: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str]
    runtime: Mapped[str]
    share: Mapped[float]
    is_shadow: Mapped[bool]
    # Only in the release that serves: what is kept to go back to holds on to no file.
    triton_model: Mapped[str | None] = mapped_column(ForeignKey(TritonModelRow.name))
    # Of a shadow: see `ShadowFigures`.
    compared: Mapped[int] = mapped_column(server_default="0", default=0)
    disagreed: Mapped[int] = mapped_column(server_default="0", default=0)
    dropped: Mapped[int] = mapped_column(server_default="0", default=0)
    failed: Mapped[int] = mapped_column(server_default="0", default=0)
    seconds: Mapped[float] = mapped_column(server_default="0", default=0.0)


class LeaseRow(Base):
    """Work that one replica does for all of them, and who does it until when."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[uuid.UUID]
    expire_time: Mapped[datetime]


class OutboxRow(OutboxColumns, Base):
    """Events that are to be published."""


class HandledEventRow(HandledEventColumns, Base):
    """Events that were handled."""
