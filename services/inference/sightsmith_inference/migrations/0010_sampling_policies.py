"""Sampling policies with more than two reasons, as a whole; and proposals of other models."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"

_SCHEMA = "inference"


def upgrade() -> None:
    """Puts what was in columns of its own into one that holds the whole policy."""
    op.add_column("deployments", sa.Column("sampling", JSONB, nullable=False, server_default="{}"), schema=_SCHEMA)
    op.execute(
        "UPDATE inference.deployments SET sampling = "
        "jsonb_build_object('share', sampled_share, 'below_confidence', sampled_below_confidence)"
    )
    for name in ("sampled_share", "sampled_below_confidence"):
        op.drop_column("deployments", name, schema=_SCHEMA)
    op.add_column("deployments", sa.Column("proposal", JSONB), schema=_SCHEMA)
