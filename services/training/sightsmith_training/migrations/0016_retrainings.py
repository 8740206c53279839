"""Retrainings of deployments, when they begin by themselves, and what was corrected meanwhile."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "training_0016"
down_revision = "training_0015"

_SCHEMA = "training"
_TIME = sa.DateTime(timezone=True)
_STATES = "'PREPARING', 'TRAINING', 'PROPOSED', 'NOT_BETTER', 'FAILED'"


def upgrade() -> None:
    """Creates the tables."""
    _create_retrainings()
    op.create_table(
        "retraining_policies",
        sa.Column("deployment", sa.Text, nullable=False),
        sa.Column("min_corrections", sa.BigInteger, nullable=False),
        sa.Column("canary_share", sa.Double, nullable=False),
        sa.Column("effort", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("deployment", name="pk_retraining_policies"),
        schema=_SCHEMA,
    )
    op.create_table(
        "corrections",
        sa.Column("deployment", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("update_time", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("deployment", "model", name="pk_corrections"),
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


def _create_retrainings() -> None:
    op.create_table(
        "retrainings",
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("request_id", sa.Uuid, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("deployment", "baseline", "effort")),
        sa.Column("only_if_better", sa.Boolean, nullable=False),
        sa.Column("canary_share", sa.Double, nullable=False),
        sa.Column("corrections", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text) for name in ("snapshot", "training_job", "model")),
        *(sa.Column(name, JSONB) for name in ("comparison", "error")),
        sa.Column("create_time", _TIME, nullable=False),
        sa.Column("end_time", _TIME),
        sa.PrimaryKeyConstraint("sequence", name="pk_retrainings"),
        sa.UniqueConstraint("project", "request_id", name="uq_retrainings_project_request_id"),
        sa.CheckConstraint(f"state IN ({_STATES})", name="ck_retrainings_state"),
        schema=_SCHEMA,
    )
    open_ones = sa.text("end_time IS NULL")
    op.create_index("ix_retrainings_open", "retrainings", ["sequence"], schema=_SCHEMA, postgresql_where=open_ones)
    op.create_index("ix_retrainings_project_sequence", "retrainings", ["project", "sequence"], schema=_SCHEMA)
