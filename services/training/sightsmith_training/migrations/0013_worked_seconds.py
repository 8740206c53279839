"""Jobs know how long workers have been at them."""

import sqlalchemy as sa
from alembic import op

revision = "training_0013"
down_revision = "training_0012"

_SCHEMA = "training"


def upgrade() -> None:
    """Adds the seconds; those that were spent before are not known."""
    worked_seconds = sa.Column("worked_seconds", sa.Double, nullable=False, server_default="0")
    op.add_column("training_jobs", worked_seconds, schema=_SCHEMA)
