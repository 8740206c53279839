"""What trainings recorded of stored images, for the check of models before they get traffic."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"

_SCHEMA = "inference"


def upgrade() -> None:
    """Creates the table; what it holds is asked for when a model is deployed."""
    op.create_table(
        "recorded_answers",
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("answers", JSONB, nullable=False),
        sa.Column("fetch_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("model", name="pk_recorded_answers"),
        sa.ForeignKeyConstraint(
            ["model"], [f"{_SCHEMA}.models.name"], name="fk_recorded_answers_model", ondelete="CASCADE"
        ),
        schema=_SCHEMA,
    )
