"""Images that carry several labels, and are given several."""

import sqlalchemy as sa
from alembic import op

revision = "training_0006"
down_revision = "training_0005"

_SCHEMA = "training"


def upgrade() -> None:
    """Replaces each column of one label by one of any number."""
    for name in ("true_label", "predicted_label"):
        column: sa.Column[list[str]] = sa.Column(f"{name}s", sa.ARRAY(sa.Text), nullable=False, server_default="{}")
        op.add_column("evaluated_images", column, schema=_SCHEMA)
    op.execute(
        "UPDATE training.evaluated_images"
        " SET true_labels = ARRAY[true_label], predicted_labels = ARRAY[predicted_label]"
    )
    for name in ("true_label", "predicted_label"):
        op.drop_column("evaluated_images", name, schema=_SCHEMA)
        op.alter_column("evaluated_images", f"{name}s", server_default=None, schema=_SCHEMA)
