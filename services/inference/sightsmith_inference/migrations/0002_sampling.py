"""Which predictions of a deployment are kept for review."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_SCHEMA = "inference"
_COLUMNS = ("sampled_share", "sampled_below_confidence")


def upgrade() -> None:
    """Adds the policy to deployments; those that are there keep nothing."""
    for name in _COLUMNS:
        op.add_column("deployments", sa.Column(name, sa.Double, nullable=False, server_default="0"), schema=_SCHEMA)
        op.create_check_constraint(f"ck_deployments_{name}", "deployments", f"{name} BETWEEN 0 AND 1", schema=_SCHEMA)
