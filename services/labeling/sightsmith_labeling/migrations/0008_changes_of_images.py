"""An index that finds the entries of the audit trail about many images by the id of one."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Adds the index."""
    op.create_index(
        "ix_changes_images",
        "changes",
        [sa.text("(details -> 'images') jsonb_path_ops")],
        schema="labeling",
        postgresql_using="gin",
        postgresql_where=sa.text("details ? 'images'"),
    )
