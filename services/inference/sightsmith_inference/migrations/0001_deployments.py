"""Deployments, the models that they serve, and the tables for events."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SCHEMA = "inference"
_TIME = sa.DateTime(timezone=True)
_RUNTIMES = "runtime IN ('onnx', 'torchscript')"


def upgrade() -> None:
    """Creates everything."""
    _create_models()
    _create_deployments()
    _create_events()


def _create_models() -> None:
    op.create_table(
        "models",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("labels", ARRAY(sa.Text), nullable=False),
        sa.Column("image_side", sa.BigInteger, nullable=False),
        sa.Column("stage_time", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_models"),
        schema=_SCHEMA,
    )
    op.create_table(
        "triton_models",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("runtime", sa.Text, nullable=False),
        sa.Column("max_batch_size", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_triton_models"),
        sa.ForeignKeyConstraint(["model"], [f"{_SCHEMA}.models.name"], name="fk_triton_models_model"),
        sa.UniqueConstraint("model", "runtime", name="uq_triton_models_model_runtime"),
        sa.CheckConstraint(_RUNTIMES, name="ck_triton_models_runtime"),
        sa.CheckConstraint("max_batch_size > 0", name="ck_triton_models_max_batch_size"),
        schema=_SCHEMA,
    )
    op.create_table(
        "staging_requests",
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("request_time", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("model", name="pk_staging_requests"),
        schema=_SCHEMA,
    )


def _create_deployments() -> None:
    op.create_table(
        "deployments",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("deployment_id", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("runtime", sa.Text, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("serving_triton_model", sa.Text),
        sa.Column("error_code", sa.BigInteger),
        sa.Column("error_reason", sa.Text),
        sa.Column("error_message", sa.Text),
        sa.Column("create_time", _TIME, nullable=False),
        sa.Column("update_time", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deployments"),
        sa.UniqueConstraint("project", "deployment_id", name="uq_deployments_project_deployment_id"),
        sa.ForeignKeyConstraint(
            ["serving_triton_model"],
            [f"{_SCHEMA}.triton_models.name"],
            name="fk_deployments_serving_triton_model",
        ),
        sa.CheckConstraint(_RUNTIMES, name="ck_deployments_runtime"),
        sa.CheckConstraint("state IN ('STARTING', 'RUNNING', 'UPDATING', 'FAILED')", name="ck_deployments_state"),
        sa.CheckConstraint(
            "state NOT IN ('RUNNING', 'UPDATING') OR serving_triton_model IS NOT NULL",
            name="ck_deployments_serving_when_it_answers",
        ),
        schema=_SCHEMA,
    )
    op.create_index("ix_deployments_serving_triton_model", "deployments", ["serving_triton_model"], schema=_SCHEMA)
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("holder", sa.Uuid, nullable=False),
        sa.Column("expire_time", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
        schema=_SCHEMA,
    )


def _create_events() -> None:
    op.create_table(
        "outbox",
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("claim_token", sa.Uuid),
        sa.Column("claim_expire_time", _TIME),
        sa.PrimaryKeyConstraint("sequence", name="pk_outbox"),
        schema=_SCHEMA,
    )
    op.create_table(
        "handled_events",
        sa.Column("consumer", sa.Text, nullable=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("handle_time", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("consumer", "event_id", name="pk_handled_events"),
        schema=_SCHEMA,
    )


def downgrade() -> None:
    """Drops everything."""
    for table in ("handled_events", "outbox", "leases", "deployments", "staging_requests", "triton_models", "models"):
        op.drop_table(table, schema=_SCHEMA)
