"""Variants of the ONNX files of models, and which export each runtime should use."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "training_0010"
down_revision = "training_0009"


def upgrade() -> None:
    """Adds both to the models; those that are there have no variants."""
    for name in ("variants", "recommendations"):
        column: sa.Column[list[object]] = sa.Column(name, JSONB, nullable=False, server_default="[]")
        op.add_column("models", column, schema="training")
