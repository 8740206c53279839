"""What a model does, and from which score on its labels hold."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0003"
down_revision = "0002"

_SCHEMA = "inference"
_CHECKS = {
    "ck_models_task": "task IN ('classification', 'multi_label_classification', 'detection')",
    "ck_models_thresholds": "cardinality(thresholds) = cardinality(labels)",
}


def upgrade() -> None:
    """Adds both to the models; those that are there give an image one label."""
    task = sa.Column("task", sa.Text, nullable=False, server_default="classification")
    op.add_column("models", task, schema=_SCHEMA)
    op.add_column("models", sa.Column("thresholds", ARRAY(sa.Double)), schema=_SCHEMA)
    for name, condition in _CHECKS.items():
        op.create_check_constraint(name, "models", condition, schema=_SCHEMA)
