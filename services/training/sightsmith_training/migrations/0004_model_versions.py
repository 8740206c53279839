"""Descriptions, tags, copies and deletion of models."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "training_0004"
down_revision = "training_0003"

_SCHEMA = "training"
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Adds the columns, indexes and the table of files to delete."""
    for column in (
        sa.Column("description", sa.Text, nullable=False, server_default=""),
        sa.Column("tags", JSONB, nullable=False, server_default="{}"),
        sa.Column("copied_from", sa.Text),
        sa.Column("request_id", sa.Uuid),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default="1"),
        sa.Column("update_time", _TIME),
    ):
        op.add_column("models", column, schema=_SCHEMA)
    op.execute("UPDATE training.models SET update_time = create_time")
    op.alter_column("models", "update_time", nullable=False, schema=_SCHEMA)
    op.create_unique_constraint("uq_models_project_request_id", "models", ["project", "request_id"], schema=_SCHEMA)
    op.drop_constraint("uq_models_training_job", "models", schema=_SCHEMA)
    op.create_index(
        "ix_models_training_job",
        "models",
        ["training_job"],
        unique=True,
        schema=_SCHEMA,
        postgresql_where=sa.text("copied_from IS NULL"),
    )
    op.create_index(
        "ix_models_artifacts",
        "models",
        ["artifacts"],
        schema=_SCHEMA,
        postgresql_using="gin",
        postgresql_ops={"artifacts": "jsonb_path_ops"},
    )
    op.create_table(
        "discarded_files",
        sa.Column("key", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_discarded_files"),
        schema=_SCHEMA,
    )
