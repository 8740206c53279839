"""Models that were deleted are forgotten."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_SCHEMA = "inference"


def upgrade() -> None:
    """Creates the list of those that are to be forgotten."""
    op.create_table(
        "deleted_models",
        sa.Column("model", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("model", name="pk_deleted_models"),
        schema=_SCHEMA,
    )
