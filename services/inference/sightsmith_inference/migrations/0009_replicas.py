"""How many replicas of a deployment there are and may be, deployments that are idle, and measured set-ups."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"

_SCHEMA = "inference"
_TIME = sa.DateTime(timezone=True)
_STATES = "state IN ('STARTING', 'RUNNING', 'UPDATING', 'FAILED', 'STOPPING', 'STOPPED', 'IDLE')"


def upgrade() -> None:
    """Gives each deployment the one replica that it has."""
    columns: list[sa.Column[object]] = [
        sa.Column("min_replicas", sa.BigInteger, nullable=False, server_default="1"),
        sa.Column("max_replicas", sa.BigInteger, nullable=False, server_default="1"),
        sa.Column("idle_seconds", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("is_tuned", sa.Boolean, nullable=False, server_default="false"),
        sa.Column("replicas", sa.BigInteger, nullable=False, server_default="1"),
        sa.Column("ready_replicas", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("replicas_reason", sa.Text, nullable=False, server_default=""),
        sa.Column("replicas_time", _TIME),
        sa.Column("last_use_time", _TIME),
    ]
    for column in columns:
        op.add_column("deployments", column, schema=_SCHEMA)
    op.drop_constraint("ck_deployments_state", "deployments", schema=_SCHEMA)
    op.create_check_constraint("ck_deployments_state", "deployments", _STATES, schema=_SCHEMA)
    op.create_check_constraint(
        "ck_deployments_replicas",
        "deployments",
        "min_replicas >= 1 AND replicas BETWEEN min_replicas AND max_replicas AND idle_seconds >= 0",
        schema=_SCHEMA,
    )
    op.add_column("triton_models", sa.Column("profile", JSONB(none_as_null=True)), schema=_SCHEMA)
