"""Reports that come out of trainings, kept with the models."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "training_0008"
down_revision = "training_0007"


def upgrade() -> None:
    """Gives models the files of their reports, and finds models by them."""
    files: sa.Column[list[object]] = sa.Column("report_files", JSONB, nullable=False, server_default="[]")
    op.add_column("models", files, schema="training")
    op.create_index(
        "ix_models_report_files",
        "models",
        ["report_files"],
        schema="training",
        postgresql_using="gin",
        postgresql_ops={"report_files": "jsonb_path_ops"},
    )
