"""Tables of the schema `training`."""

import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint, and_, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sightsmith.database import TableBase, schema_metadata, utc_now
from sightsmith.events.tables import HandledEventColumns, OutboxColumns

SCHEMA = "training"
MIGRATIONS = Path(__file__).parent / "migrations"


class Base(TableBase):
    """Tables of this service."""

    __abstract__ = True
    metadata = schema_metadata(SCHEMA)


class Outbox(OutboxColumns, Base):
    """Facts to be published."""


class JobRow(Base):
    """A job as it stands now, of whatever kind: all kinds are in one table, so that they live and end alike."""

    __tablename__ = "training_jobs"
    __table_args__ = (
        UniqueConstraint("project", "request_id"),
        Index("ix_training_jobs_project_sequence", "project", "sequence"),
        Index("ix_training_jobs_queued", "sequence", postgresql_where=text("state = 'QUEUED'")),
        Index("ix_training_jobs_leased", "lease_expire_time", postgresql_where=text("lease_token IS NOT NULL")),
    )
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_abstract": True}  # noqa: RUF012 - as SQLAlchemy wants it

    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str] = mapped_column(server_default="training")
    project: Mapped[str]
    request_id: Mapped[uuid.UUID | None]
    snapshot: Mapped[str]
    manifest_key: Mapped[str]
    manifest_sha256: Mapped[str]
    state: Mapped[str]
    progress: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    # That the job made, or that it judges.
    model: Mapped[str | None]
    attempt: Mapped[int] = mapped_column(default=0)
    revision: Mapped[int] = mapped_column(default=0)
    lease_token: Mapped[uuid.UUID | None]
    lease_expire_time: Mapped[datetime | None]
    # While something that it needs is away: when it may be claimed again, how long it has waited for that since it last
    # came any further, and how far that was.
    retry_time: Mapped[datetime | None]
    paused_seconds: Mapped[float] = mapped_column(server_default="0", default=0.0)
    paused_percent: Mapped[float] = mapped_column(server_default="0", default=0.0)
    # For which workers have been at it, in all attempts.
    worked_seconds: Mapped[float] = mapped_column(server_default="0", default=0.0)
    create_time: Mapped[datetime] = mapped_column(default=utc_now)
    start_time: Mapped[datetime | None]
    end_time: Mapped[datetime | None]


class TrainingJobRow(JobRow):
    """A training job as it stands now."""

    __mapper_args__ = {"polymorphic_identity": "training", "polymorphic_load": "inline"}  # noqa: RUF012 - as SQLAlchemy wants it

    # Files of embeddings that came with the snapshot: `backbone`, `key`, `sha256`.
    embedding_files: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]", default=list)
    seed: Mapped[int] = mapped_column(server_default="0")
    # What was wished for: `TrainingOptions`.
    options: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    # What the model is to do and why, once a worker has looked at the data.
    task: Mapped[str | None]
    task_reason: Mapped[str | None]
    left_out_labels: Mapped[list[str]] = mapped_column(server_default="{}", default=list)
    # Reserved when a model is first published, so that a second try publishes under the same name.
    model_number: Mapped[int | None]
    # `StoredReportFile`, where the training failed because of its data; and what is missing of them.
    report_files: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]", default=list)
    report_problems: Mapped[list[str]] = mapped_column(server_default="{}", default=list)
    # What of the wishes was not kept, in plain words.
    notes: Mapped[list[str]] = mapped_column(server_default="{}", default=list)


class EvaluationJobRow(JobRow):
    """A job that judges a model by other images, as it stands now."""

    __mapper_args__ = {"polymorphic_identity": "evaluation", "polymorphic_load": "inline"}  # noqa: RUF012 - as SQLAlchemy wants it

    # Which images of the snapshot are asked for: `WantedImages`.
    wanted: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    # What came of it, once it has succeeded.
    evaluation: Mapped[str | None]


class TrainingJobRevisionRow(Base):
    """A job as it stood at each of its revisions; what watches resume from."""

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
    """A model version.

    Nothing but its description, tags and thresholds ever changes, and what is told of where its report was written.
    """

    __tablename__ = "models"
    __table_args__ = (
        UniqueConstraint("project", "number"),
        UniqueConstraint("project", "request_id"),
        # One job makes one model; copies of it name the same job.
        Index("ix_models_training_job", "training_job", unique=True, postgresql_where=text("copied_from IS NULL")),
        # Finds the models that need a file.
        Index(
            "ix_models_artifacts", "artifacts", postgresql_using="gin", postgresql_ops={"artifacts": "jsonb_path_ops"}
        ),
        Index(
            "ix_models_report_files",
            "report_files",
            postgresql_using="gin",
            postgresql_ops={"report_files": "jsonb_path_ops"},
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    project: Mapped[str]
    number: Mapped[int]
    training_job: Mapped[str]
    snapshot: Mapped[str]
    task: Mapped[str]
    labels: Mapped[list[str]]
    # In the order of the labels; empty where the best label is the answer, however sure the model is.
    thresholds: Mapped[list[float]] = mapped_column(server_default="{}", default=list)
    image_side: Mapped[int]
    seed: Mapped[int]
    candidates: Mapped[list[dict[str, Any]]]
    library_versions: Mapped[dict[str, Any]]
    artifacts: Mapped[list[dict[str, Any]]]
    # `StoredReportFile`; none for models of old.
    report_files: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]", default=list)
    # What is missing of them, and why.
    left_out_labels: Mapped[list[str]] = mapped_column(server_default="{}", default=list)
    report_problems: Mapped[list[str]] = mapped_column(server_default="{}", default=list)
    parity: Mapped[dict[str, Any]]
    # `ModelVariant` and `Recommendation` of the engine's contract; none for models of old.
    variants: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]", default=list)
    recommendations: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]", default=list)
    training_seconds: Mapped[float]
    description: Mapped[str] = mapped_column(server_default="", default="")
    tags: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    # Of a copy: the name of the original, and the request that it was asked for with.
    copied_from: Mapped[str | None]
    request_id: Mapped[uuid.UUID | None]
    # Counts the changes.
    revision: Mapped[int] = mapped_column(server_default="1", default=1)
    create_time: Mapped[datetime] = mapped_column(default=utc_now)
    update_time: Mapped[datetime] = mapped_column(default=utc_now)

    own_evaluation: Mapped["EvaluationRow"] = relationship(
        # Not as text: other services in one process have tables with classes of the same names.
        lambda: EvaluationRow,
        primaryjoin=lambda: and_(ModelRow.id == EvaluationRow.model_id, EvaluationRow.is_own),
        lazy="joined",
        innerjoin=True,
    )


class DiscardedFileRow(Base):
    """A file that is deleted as soon as no model needs it; a key that ends with `/` stands for all files below it."""

    __tablename__ = "discarded_files"

    key: Mapped[str] = mapped_column(primary_key=True)
    # When it was noted, and when it is to be looked for next.
    note_time: Mapped[datetime] = mapped_column(server_default=func.now())
    sweep_time: Mapped[datetime] = mapped_column(server_default=func.now())


class EvaluationRow(Base):
    """What came of judging a model by the images of a snapshot."""

    __tablename__ = "evaluations"
    __table_args__ = (
        Index("ix_evaluations_model_id", "model_id"),
        Index("ix_evaluations_own", "model_id", unique=True, postgresql_where=text("is_own")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    model_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("training.models.id", ondelete="CASCADE"))
    # Whether it is the one that the training made; every model has it.
    is_own: Mapped[bool]
    # The last part of its name, which is the id of the job that made it, and the place of that job in the order of all;
    # none for the own one.
    resource_id: Mapped[str | None] = mapped_column(unique=True)
    job_sequence: Mapped[int | None] = mapped_column(BigInteger)
    # Of the judged images.
    snapshot: Mapped[str]
    # Which images were left out, and why: `JudgedSelection`; empty for the own one.
    selection: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    # `Evaluation` of the engine's contract.
    figures: Mapped[dict[str, Any]]
    create_time: Mapped[datetime] = mapped_column(default=utc_now)


class EvaluatedImageRow(Base):
    """An image that a model was judged by: what is there, and what the model says."""

    __tablename__ = "evaluated_images"
    __table_args__ = (Index("ix_evaluated_images_rank", "evaluation_id", "rank", "image"),)

    evaluation_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("training.evaluations.id", ondelete="CASCADE"), primary_key=True
    )
    image: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]
    width: Mapped[int] = mapped_column(server_default="0", default=0)
    height: Mapped[int] = mapped_column(server_default="0", default=0)
    true_labels: Mapped[list[str]]
    true_boxes: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]", default=list)
    scores: Mapped[list[float]]
    detections: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]", default=list)
    # From here on everything depends on the thresholds. The most confident mistakes have the lowest ranks.
    rank: Mapped[float]
    predicted_labels: Mapped[list[str]]
    confidence: Mapped[float]
    # Labels, each once: to find images by.
    true_positives: Mapped[list[str]]
    false_positives: Mapped[list[str]]
    false_negatives: Mapped[list[str]]


class RetrainingRow(Base):
    """A retraining of a deployment's model as it stands now."""

    __tablename__ = "retrainings"
    __table_args__ = (
        UniqueConstraint("project", "request_id"),
        CheckConstraint("state IN ('PREPARING', 'TRAINING', 'PROPOSED', 'NOT_BETTER', 'FAILED')", name="state"),
        Index("ix_retrainings_open", "sequence", postgresql_where=text("end_time IS NULL")),
        Index("ix_retrainings_project_sequence", "project", "sequence"),
    )

    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    project: Mapped[str]
    # Of its snapshot and its job, too: whoever goes on where another one stopped takes no second one.
    request_id: Mapped[uuid.UUID] = mapped_column(default=uuid.uuid4)
    deployment: Mapped[str]
    baseline: Mapped[str]
    effort: Mapped[str]
    only_if_better: Mapped[bool]
    canary_share: Mapped[float] = mapped_column(default=0.0)
    corrections: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(default="PREPARING")
    snapshot: Mapped[str | None]
    training_job: Mapped[str | None]
    model: Mapped[str | None]
    # `ComparedFigure` and `JobError`.
    comparison: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    create_time: Mapped[datetime] = mapped_column(default=utc_now)
    end_time: Mapped[datetime | None]


class RetrainingPolicyRow(Base):
    """When a deployment's model is trained anew by itself."""

    __tablename__ = "retraining_policies"

    deployment: Mapped[str] = mapped_column(primary_key=True)
    min_corrections: Mapped[int]
    canary_share: Mapped[float]
    effort: Mapped[str]


class CorrectionsRow(Base):
    """How many answers of a model behind a deployment's name were corrected since its last retraining."""

    __tablename__ = "corrections"

    deployment: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
    update_time: Mapped[datetime] = mapped_column(default=utc_now)


class HandledEventRow(HandledEventColumns, Base):
    """Events that were handled."""
