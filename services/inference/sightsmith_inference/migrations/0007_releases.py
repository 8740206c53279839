"""Several model versions behind one name, and the way back to those that served before."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_SCHEMA = "inference"
_TIME = sa.DateTime(timezone=True)
_STATES = "state IN ('STARTING', 'RUNNING', 'UPDATING', 'FAILED', 'STOPPING', 'STOPPED')"
_COUNTS = ("compared", "disagreed", "dropped", "failed")


def upgrade() -> None:
    """Makes releases of what is wanted and of what serves; nothing that answers stops."""
    _create_tables()
    _fill_tables()
    _change_deployments()


def _create_tables() -> None:
    op.create_table(
        "releases",
        sa.Column("deployment", sa.Uuid, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("serve_time", _TIME),
        sa.PrimaryKeyConstraint("deployment", "number", name="pk_releases"),
        sa.ForeignKeyConstraint(
            ["deployment"], [f"{_SCHEMA}.deployments.id"], name="fk_releases_deployment", ondelete="CASCADE"
        ),
        schema=_SCHEMA,
    )
    op.create_table(
        "targets",
        sa.Column("deployment", sa.Uuid, nullable=False),
        sa.Column("release", sa.BigInteger, nullable=False),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("runtime", sa.Text, nullable=False),
        sa.Column("share", sa.Double, nullable=False),
        sa.Column("is_shadow", sa.Boolean, nullable=False),
        sa.Column("triton_model", sa.Text),
        *(sa.Column(name, sa.BigInteger, nullable=False, server_default="0") for name in _COUNTS),
        sa.Column("seconds", sa.Double, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("deployment", "release", "alias", name="pk_targets"),
        sa.ForeignKeyConstraint(
            ["deployment", "release"],
            [f"{_SCHEMA}.releases.deployment", f"{_SCHEMA}.releases.number"],
            name="fk_targets_deployment_release",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["triton_model"], [f"{_SCHEMA}.triton_models.name"], name="fk_targets_triton_model"),
        sa.CheckConstraint(
            "runtime IN ('recommended', 'onnx', 'torchscript', 'onnx_int8', 'onnx_fp16')", name="ck_targets_runtime"
        ),
        sa.CheckConstraint("share BETWEEN 0 AND 1", name="ck_targets_share"),
        schema=_SCHEMA,
    )
    op.create_index("ix_targets_triton_model", "targets", ["triton_model"], schema=_SCHEMA)


def _fill_tables() -> None:
    """Release 1 is what serves or, where nothing does, what is wanted; release 2 what is wanted instead of it."""
    op.add_column(
        "deployments", sa.Column("revision", sa.BigInteger, server_default="1", nullable=False), schema=_SCHEMA
    )
    op.add_column("deployments", sa.Column("wanted_release", sa.BigInteger, server_default="1"), schema=_SCHEMA)
    op.add_column("deployments", sa.Column("serving_release", sa.BigInteger), schema=_SCHEMA)
    op.execute("""
        UPDATE inference.deployments AS d
        SET serving_release = 1,
            wanted_release = CASE WHEN d.state <> 'UPDATING' AND t.model = d.model THEN 1 ELSE 2 END
        FROM inference.triton_models AS t WHERE t.name = d.serving_triton_model
    """)
    op.execute("""
        INSERT INTO inference.releases (deployment, number, serve_time)
        SELECT id, 1, CASE WHEN serving_release IS NOT NULL THEN update_time END FROM inference.deployments
        UNION ALL SELECT id, 2, NULL FROM inference.deployments WHERE wanted_release = 2
    """)
    op.execute("""
        INSERT INTO inference.targets (deployment, release, alias, model, runtime, share, is_shadow, triton_model)
        SELECT d.id, 1, 'live', coalesce(t.model, d.model),
            CASE WHEN d.wanted_release = 1 THEN d.runtime ELSE t.runtime END, 1, false, t.name
        FROM inference.deployments AS d LEFT JOIN inference.triton_models AS t ON t.name = d.serving_triton_model
        UNION ALL
        SELECT id, 2, 'live', model, runtime, 1, false, NULL FROM inference.deployments WHERE wanted_release = 2
    """)


def _change_deployments() -> None:
    # Goes with the column: its foreign key, its index and the check that names it.
    op.drop_constraint("ck_deployments_serving_when_it_answers", "deployments", schema=_SCHEMA)
    for column in ("model", "runtime", "serving_triton_model"):
        op.drop_column("deployments", column, schema=_SCHEMA)
    op.alter_column("deployments", "wanted_release", nullable=False, server_default=None, schema=_SCHEMA)
    op.drop_constraint("ck_deployments_state", "deployments", schema=_SCHEMA)
    op.create_check_constraint("ck_deployments_state", "deployments", _STATES, schema=_SCHEMA)
    op.create_check_constraint(
        "ck_deployments_serving_when_it_answers",
        "deployments",
        "state NOT IN ('RUNNING', 'UPDATING') OR serving_release IS NOT NULL",
        schema=_SCHEMA,
    )
