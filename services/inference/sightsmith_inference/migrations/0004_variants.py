"""Variants of ONNX models as runtimes, and runtimes that model versions recommend."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0004"
down_revision = "0003"

_SCHEMA = "inference"
_RUNTIMES = "'onnx', 'torchscript', 'onnx_int8', 'onnx_fp16'"
_CHECKS = {
    "triton_models": ("ck_triton_models_runtime", f"runtime IN ({_RUNTIMES})"),
    "deployments": ("ck_deployments_runtime", f"runtime IN ('recommended', {_RUNTIMES})"),
}


def upgrade() -> None:
    """Allows for them; deployments that are there keep the runtime that they have."""
    for table, (name, condition) in _CHECKS.items():
        op.drop_constraint(name, table, schema=_SCHEMA)
        op.create_check_constraint(name, table, condition, schema=_SCHEMA)
    column: sa.Column[list[str]] = sa.Column("recommended_for", ARRAY(sa.Text), nullable=False, server_default="{}")
    op.add_column("triton_models", column, schema=_SCHEMA)
    op.create_check_constraint(
        "ck_triton_models_recommended_for",
        "triton_models",
        "recommended_for <@ ARRAY['cpu', 'gpu']",
        schema=_SCHEMA,
    )
