"""What a job was asked for, and what its data was found to be."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "training_0003"
down_revision = "training_0002"

_SCHEMA = "training"


def upgrade() -> None:
    """Adds the columns."""
    op.add_column("training_jobs", sa.Column("options", JSONB, nullable=False, server_default="{}"), schema=_SCHEMA)
    op.add_column("training_jobs", sa.Column("task", sa.Text), schema=_SCHEMA)
    op.add_column("training_jobs", sa.Column("task_reason", sa.Text), schema=_SCHEMA)
