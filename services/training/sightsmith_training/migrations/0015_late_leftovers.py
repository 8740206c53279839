"""Outages are counted anew after progress, and what late workers store is deleted too."""

import sqlalchemy as sa
from alembic import op

revision = "training_0015"
down_revision = "training_0014"

_SCHEMA = "training"


def upgrade() -> None:
    """Adds how far a job had come when it was last set aside; when files were noted, and when to look for them."""
    paused_percent = sa.Column("paused_percent", sa.Double, nullable=False, server_default="0")
    op.add_column("training_jobs", paused_percent, schema=_SCHEMA)
    for name in ("note_time", "sweep_time"):
        time = sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())
        op.add_column("discarded_files", time, schema=_SCHEMA)
