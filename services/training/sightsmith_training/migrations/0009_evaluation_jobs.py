"""Jobs that judge models by other images, and what comes of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "training_0009"
down_revision = "training_0008"

_SCHEMA = "training"


def upgrade() -> None:
    """Lets jobs be of another kind than trainings, and models have evaluations beside their own."""
    for column in (
        sa.Column("kind", sa.Text, nullable=False, server_default="training"),
        sa.Column("wanted", JSONB, nullable=False, server_default="{}"),
        sa.Column("evaluation", sa.Text),
    ):
        op.add_column("training_jobs", column, schema=_SCHEMA)
    op.alter_column("training_jobs", "seed", server_default="0", schema=_SCHEMA)
    for column in (
        sa.Column("resource_id", sa.Text),
        sa.Column("job_sequence", sa.BigInteger),
        sa.Column("selection", JSONB, nullable=False, server_default="{}"),
    ):
        op.add_column("evaluations", column, schema=_SCHEMA)
    op.create_unique_constraint("uq_evaluations_resource_id", "evaluations", ["resource_id"], schema=_SCHEMA)
