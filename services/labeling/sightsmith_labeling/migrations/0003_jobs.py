"""Jobs, what they found, and the files that clients sent for them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

_SCHEMA = "labeling"
_ORDERED_TEXT = sa.Text(collation="C")


def upgrade() -> None:
    """Creates everything."""
    _create_jobs()
    _create_job_findings()
    _create_uploaded_files()


def _create_jobs() -> None:
    time = sa.DateTime(timezone=True)
    op.create_table(
        "jobs",
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("id", _ORDERED_TEXT, nullable=False),
        sa.Column("project", _ORDERED_TEXT, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("request_id", sa.Uuid),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("spec", postgresql.JSONB, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("progress", postgresql.JSONB, nullable=False, server_default="{}"),
        sa.Column("checkpoint", postgresql.JSONB, nullable=False, server_default="{}"),
        sa.Column("result", postgresql.JSONB),
        sa.Column("error", postgresql.JSONB),
        sa.Column("attempt", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("lease_token", sa.Uuid),
        sa.Column("lease_expire_time", time),
        sa.Column("create_time", time, nullable=False),
        sa.Column("start_time", time),
        sa.Column("end_time", time),
        sa.PrimaryKeyConstraint("sequence", name="pk_jobs"),
        sa.ForeignKeyConstraint(["project"], [f"{_SCHEMA}.projects.id"], name="fk_jobs_project", ondelete="CASCADE"),
        sa.UniqueConstraint("project", "id", name="uq_jobs_project_id"),
        sa.UniqueConstraint("project", "request_id", name="uq_jobs_project_request_id"),
        schema=_SCHEMA,
    )
    op.create_index("ix_jobs_project_kind_sequence", "jobs", ["project", "kind", "sequence"], schema=_SCHEMA)
    op.create_index(
        "ix_jobs_queued", "jobs", ["sequence"], schema=_SCHEMA, postgresql_where=sa.text("state = 'QUEUED'")
    )
    op.create_index(
        "ix_jobs_leased",
        "jobs",
        ["lease_expire_time"],
        schema=_SCHEMA,
        postgresql_where=sa.text("lease_token IS NOT NULL"),
    )


def _create_job_findings() -> None:
    op.create_table(
        "job_findings",
        sa.Column("key", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("job", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("severity", "code", "message", "file")),
        sa.Column("line", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("resource", "path")),
        sa.Column("details", postgresql.JSONB, nullable=False, server_default="{}"),
        sa.PrimaryKeyConstraint("key", name="pk_job_findings"),
        sa.ForeignKeyConstraint(["job"], [f"{_SCHEMA}.jobs.sequence"], name="fk_job_findings_job", ondelete="CASCADE"),
        schema=_SCHEMA,
    )
    op.create_index("ix_job_findings_job_key", "job_findings", ["job", "key"], schema=_SCHEMA)


def _create_uploaded_files() -> None:
    op.create_table(
        "uploaded_files",
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("project", _ORDERED_TEXT, nullable=False),
        sa.Column("id", _ORDERED_TEXT, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("file_name", "key", "sha256")),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_uploaded_files"),
        sa.ForeignKeyConstraint(
            ["project"], [f"{_SCHEMA}.projects.id"], name="fk_uploaded_files_project", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("project", "id", name="uq_uploaded_files_project_id"),
        schema=_SCHEMA,
    )
