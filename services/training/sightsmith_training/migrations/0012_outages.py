"""Jobs wait while what they need is away."""

import sqlalchemy as sa
from alembic import op

revision = "training_0012"
down_revision = "training_0011"

_SCHEMA = "training"


def upgrade() -> None:
    """Adds when a job may be claimed again, and how long it has waited for that in all."""
    retry_time: sa.Column[object] = sa.Column("retry_time", sa.DateTime(timezone=True))
    paused_seconds = sa.Column("paused_seconds", sa.Double, nullable=False, server_default="0")
    op.add_column("training_jobs", retry_time, schema=_SCHEMA)
    op.add_column("training_jobs", paused_seconds, schema=_SCHEMA)
