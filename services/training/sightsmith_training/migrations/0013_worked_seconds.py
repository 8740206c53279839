"""Jobs know how long workers have been at them, and tell what was not kept."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "training_0013"
down_revision = "training_0012"

_SCHEMA = "training"


def upgrade() -> None:
    """Adds the seconds, of which those that were spent before are not known, and what is told."""
    worked_seconds = sa.Column("worked_seconds", sa.Double, nullable=False, server_default="0")
    notes: sa.Column[list[str]] = sa.Column("notes", ARRAY(sa.Text), nullable=False, server_default="{}")
    op.add_column("training_jobs", worked_seconds, schema=_SCHEMA)
    op.add_column("training_jobs", notes, schema=_SCHEMA)
