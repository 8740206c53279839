"""What a model does, and from which score on each of its labels holds."""

import sqlalchemy as sa
from alembic import op

revision = "training_0005"
down_revision = "training_0004"

_SCHEMA = "training"


def upgrade() -> None:
    """Adds the columns; every model so far gives an image one label."""
    task = sa.Column("task", sa.Text, nullable=False, server_default="classification")
    op.add_column("models", task, schema=_SCHEMA)
    op.alter_column("models", "task", server_default=None, schema=_SCHEMA)
    thresholds: sa.Column[list[float]] = sa.Column(
        "thresholds", sa.ARRAY(sa.Double), nullable=False, server_default="{}"
    )
    op.add_column("models", thresholds, schema=_SCHEMA)
