"""Training jobs with their revisions, models, evaluated images, outbox."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "training_0001"
down_revision = None

SCHEMA = "training"
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "training_jobs",
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("request_id", sa.Uuid),
        sa.Column("snapshot", sa.Text, nullable=False),
        sa.Column("manifest_key", sa.Text, nullable=False),
        sa.Column("manifest_sha256", sa.Text, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("progress", JSONB),
        sa.Column("error", JSONB),
        sa.Column("model_number", sa.BigInteger),
        sa.Column("model", sa.Text),
        sa.Column("attempt", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("lease_token", sa.Uuid),
        sa.Column("lease_expire_time", TIME),
        sa.Column("create_time", TIME, nullable=False),
        sa.Column("start_time", TIME),
        sa.Column("end_time", TIME),
        sa.PrimaryKeyConstraint("sequence", name="pk_training_jobs"),
        sa.UniqueConstraint("id", name="uq_training_jobs_id"),
        sa.UniqueConstraint("project", "request_id", name="uq_training_jobs_project_request_id"),
        schema=SCHEMA,
    )
    op.create_index("ix_training_jobs_project_sequence", "training_jobs", ["project", "sequence"], schema=SCHEMA)
    op.create_index(
        "ix_training_jobs_queued",
        "training_jobs",
        ["sequence"],
        schema=SCHEMA,
        postgresql_where=sa.text("state = 'QUEUED'"),
    )
    op.create_index(
        "ix_training_jobs_leased",
        "training_jobs",
        ["lease_expire_time"],
        schema=SCHEMA,
        postgresql_where=sa.text("lease_token IS NOT NULL"),
    )
    op.create_table(
        "training_job_revisions",
        sa.Column("job_sequence", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("job", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("job_sequence", "revision", name="pk_training_job_revisions"),
        sa.ForeignKeyConstraint(
            ["job_sequence"],
            ["training.training_jobs.sequence"],
            name="fk_training_job_revisions_job_sequence",
            ondelete="CASCADE",
        ),
        schema=SCHEMA,
    )
    op.create_table(
        "model_numbers",
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("last_number", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project", name="pk_model_numbers"),
        schema=SCHEMA,
    )
    op.create_table(
        "models",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("training_job", sa.Text, nullable=False),
        sa.Column("snapshot", sa.Text, nullable=False),
        sa.Column("labels", ARRAY(sa.Text), nullable=False),
        sa.Column("image_side", sa.BigInteger, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("candidates", JSONB, nullable=False),
        sa.Column("library_versions", JSONB, nullable=False),
        sa.Column("artifacts", JSONB, nullable=False),
        sa.Column("parity", JSONB, nullable=False),
        sa.Column("evaluation", JSONB, nullable=False),
        sa.Column("training_seconds", sa.Float, nullable=False),
        sa.Column("create_time", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_models"),
        sa.UniqueConstraint("project", "number", name="uq_models_project_number"),
        sa.UniqueConstraint("training_job", name="uq_models_training_job"),
        schema=SCHEMA,
    )
    op.create_table(
        "evaluated_images",
        sa.Column("model_id", sa.Uuid, nullable=False),
        sa.Column("rank", sa.BigInteger, nullable=False),
        sa.Column("image", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("true_label", sa.Text, nullable=False),
        sa.Column("predicted_label", sa.Text, nullable=False),
        sa.Column("confidence", sa.Float, nullable=False),
        sa.Column("scores", ARRAY(sa.Double), nullable=False),
        sa.PrimaryKeyConstraint("model_id", "rank", name="pk_evaluated_images"),
        sa.ForeignKeyConstraint(
            ["model_id"], ["training.models.id"], name="fk_evaluated_images_model_id", ondelete="CASCADE"
        ),
        schema=SCHEMA,
    )
    op.create_table(
        "outbox",
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("claim_token", sa.Uuid),
        sa.Column("claim_expire_time", TIME),
        sa.PrimaryKeyConstraint("sequence", name="pk_outbox"),
        schema=SCHEMA,
    )
