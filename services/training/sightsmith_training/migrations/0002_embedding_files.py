"""The files of embeddings that came with a job's snapshot."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "training_0002"
down_revision = "training_0001"

_SCHEMA = "training"


def upgrade() -> None:
    """Adds the column."""
    column = sa.Column("embedding_files", JSONB, nullable=False, server_default="[]")
    op.add_column("training_jobs", column, schema=_SCHEMA)
