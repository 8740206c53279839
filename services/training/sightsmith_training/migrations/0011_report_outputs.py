"""Reports of trainings that failed, and what reports lack."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "training_0011"
down_revision = "training_0010"

_SCHEMA = "training"


def upgrade() -> None:
    """Adds the columns."""
    files: sa.Column[list[object]] = sa.Column("report_files", JSONB, nullable=False, server_default="[]")
    op.add_column("training_jobs", files, schema=_SCHEMA)
    for table in ("training_jobs", "models"):
        problems: sa.Column[list[str]] = sa.Column(
            "report_problems", ARRAY(sa.Text), nullable=False, server_default="{}"
        )
        op.add_column(table, problems, schema=_SCHEMA)
