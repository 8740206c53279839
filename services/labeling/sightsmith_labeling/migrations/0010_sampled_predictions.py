"""Samples that go when their time has come, why they were taken, and for how many predictions they stand."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"

_SCHEMA = "labeling"
_TABLE = "review_items"
_REASONS = "'random', 'low_confidence', 'near_threshold', 'disagreement', 'drift', 'requested'"


def upgrade() -> None:
    """Adds the columns. Items that are there have their images where all images are."""
    op.add_column(_TABLE, sa.Column("image_key", sa.Text, nullable=False, server_default=""), schema=_SCHEMA)
    op.execute("UPDATE labeling.review_items SET image_key = 'images/' || left(sha256, 2) || '/' || sha256")
    op.alter_column(_TABLE, "image_key", server_default=None, schema=_SCHEMA)
    op.add_column(_TABLE, sa.Column("weight", sa.Double, nullable=False, server_default="0"), schema=_SCHEMA)
    op.create_check_constraint("ck_review_items_weight", _TABLE, "weight >= 0", schema=_SCHEMA)
    op.add_column(_TABLE, sa.Column("expire_time", sa.DateTime(timezone=True)), schema=_SCHEMA)
    op.add_column(_TABLE, sa.Column("true_labels", postgresql.ARRAY(sa.Text)), schema=_SCHEMA)
    op.create_index("ix_review_items_expire_time", _TABLE, ["expire_time"], schema=_SCHEMA)
    op.create_index("ix_review_items_deployment", _TABLE, ["project", "deployment", "key"], schema=_SCHEMA)
    op.drop_constraint("ck_review_items_reason", _TABLE, schema=_SCHEMA)
    op.create_check_constraint("ck_review_items_reason", _TABLE, f"reason IN ({_REASONS})", schema=_SCHEMA)
