"""Labels that trainings left out."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "training_0014"
down_revision = "training_0013"

_SCHEMA = "training"


def upgrade() -> None:
    """Adds their names to jobs and models."""
    for table in ("training_jobs", "models"):
        labels: sa.Column[list[str]] = sa.Column("left_out_labels", ARRAY(sa.Text), nullable=False, server_default="{}")
        op.add_column(table, labels, schema=_SCHEMA)
