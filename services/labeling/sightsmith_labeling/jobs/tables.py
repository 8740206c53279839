"""The tables of jobs."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from sightsmith.database import utc_now
from sightsmith_labeling.tables import Base, Key, OrderedText, ProjectRow


class JobRow(Base):
    """A job as it stands now."""

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("project", "id"),
        UniqueConstraint("project", "request_id"),
        Index("ix_jobs_project_kind_sequence", "project", "kind", "sequence"),
        Index("ix_jobs_queued", "sequence", postgresql_where=text("state = 'QUEUED'")),
        Index("ix_jobs_leased", "lease_expire_time", postgresql_where=text("lease_token IS NOT NULL")),
    )

    sequence: Mapped[Key]
    id: Mapped[OrderedText]
    project: Mapped[OrderedText] = mapped_column(ForeignKey(ProjectRow.id, ondelete="CASCADE"))
    kind: Mapped[str]
    request_id: Mapped[uuid.UUID | None]
    actor: Mapped[str]
    # What was asked for; the kind says what is in it.
    spec: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str]
    progress: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}", default=dict)
    # How far the job has come, written in the same transaction as its work, so that a killed job goes on exactly there.
    checkpoint: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}", default=dict)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    attempt: Mapped[int] = mapped_column(default=0)
    # Goes up with every change that a watcher wants to see.
    revision: Mapped[int] = mapped_column(default=0)
    lease_token: Mapped[uuid.UUID | None]
    lease_expire_time: Mapped[datetime | None]
    create_time: Mapped[datetime] = mapped_column(default=utc_now)
    start_time: Mapped[datetime | None]
    end_time: Mapped[datetime | None]


class JobFindingRow(Base):
    """What a job has to tell of one line, image or annotation: why it was refused, or what is odd about it."""

    __tablename__ = "job_findings"
    __table_args__ = (Index("ix_job_findings_job_key", "job", "key"),)

    key: Mapped[Key]
    job: Mapped[int] = mapped_column(ForeignKey(JobRow.sequence, ondelete="CASCADE"))
    severity: Mapped[str]
    code: Mapped[str]
    message: Mapped[str]
    # Where: a file and a line counted from 1, an image resource, or a path inside a line; empty or 0 where it has none.
    file: Mapped[str]
    line: Mapped[int]
    resource: Mapped[str]
    path: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}", default=dict)


class UploadedFileRow(Base):
    """A file that a client sent for an import."""

    __tablename__ = "uploaded_files"
    __table_args__ = (UniqueConstraint("project", "id"),)

    sequence: Mapped[Key]
    project: Mapped[OrderedText] = mapped_column(ForeignKey(ProjectRow.id, ondelete="CASCADE"))
    id: Mapped[OrderedText]
    file_name: Mapped[str]
    key: Mapped[str]
    sha256: Mapped[str]
    size_bytes: Mapped[int]
    create_time: Mapped[datetime] = mapped_column(default=utc_now)


class DiscardedFileRow(Base):
    """A file of the object store that is to be deleted: what it belonged to is gone."""

    __tablename__ = "discarded_files"

    sequence: Mapped[Key]
    key: Mapped[str]
    discard_time: Mapped[datetime] = mapped_column(server_default=func.now(), default=utc_now)
