"""Batch prediction jobs and their shards."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"

_SCHEMA = "inference"
_TIME = sa.DateTime(timezone=True)
_STATES = "'QUEUED', 'RUNNING', 'CANCELLING', 'SUCCEEDED', 'FAILED', 'CANCELLED'"


def upgrade() -> None:
    """Creates both tables."""
    _create_jobs()
    _create_shards()


def _create_jobs() -> None:
    op.create_table(
        "batch_jobs",
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("request_id", sa.Uuid),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("spec", JSONB, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("phase", sa.Text, nullable=False, server_default="PLANNING"),
        sa.Column("plan", sa.Text),
        *(_count(name) for name in ("images", "skipped", "shards", "done_shards", "answered", "failed")),
        sa.Column("worker_seconds", sa.Double, nullable=False, server_default="0"),
        sa.Column("model_seconds", sa.Double, nullable=False, server_default="0"),
        sa.Column("results", JSONB, nullable=False, server_default="[]"),
        sa.Column("error", JSONB),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("create_time", _TIME, nullable=False),
        sa.Column("start_time", _TIME),
        sa.Column("predict_time", _TIME),
        sa.Column("end_time", _TIME),
        sa.Column("is_clean", sa.Boolean, nullable=False, server_default="false"),
        sa.PrimaryKeyConstraint("sequence", name="pk_batch_jobs"),
        sa.UniqueConstraint("project", "id", name="uq_batch_jobs_project_id"),
        sa.UniqueConstraint("project", "request_id", name="uq_batch_jobs_project_request_id"),
        sa.CheckConstraint(f"state IN ({_STATES})", name="ck_batch_jobs_state"),
        sa.CheckConstraint("phase IN ('PLANNING', 'PREDICTING', 'FINISHING')", name="ck_batch_jobs_phase"),
        schema=_SCHEMA,
    )
    op.create_index(
        "ix_batch_jobs_open", "batch_jobs", ["sequence"], schema=_SCHEMA, postgresql_where=sa.text("end_time IS NULL")
    )


def _count(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


def _create_shards() -> None:
    op.create_table(
        "batch_shards",
        sa.Column("job", sa.BigInteger, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("images", sa.BigInteger, nullable=False),
        sa.Column("is_done", sa.Boolean, nullable=False, server_default="false"),
        sa.Column("publish_time", _TIME),
        sa.Column("claim_token", sa.Uuid),
        sa.Column("claim_expire_time", _TIME),
        sa.PrimaryKeyConstraint("job", "number", name="pk_batch_shards"),
        sa.ForeignKeyConstraint(
            ["job"], [f"{_SCHEMA}.batch_jobs.sequence"], name="fk_batch_shards_job", ondelete="CASCADE"
        ),
        schema=_SCHEMA,
    )
    op.create_index(
        "ix_batch_shards_open",
        "batch_shards",
        ["job", "number"],
        schema=_SCHEMA,
        postgresql_where=sa.text("NOT is_done"),
    )
