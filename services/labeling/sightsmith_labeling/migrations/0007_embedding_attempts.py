"""How often an image was handed out to be embedded."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Adds the count."""
    op.add_column(
        "embedding_queue", sa.Column("attempts", sa.BigInteger, nullable=False, server_default="0"), schema="labeling"
    )
