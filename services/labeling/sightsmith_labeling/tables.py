"""The tables of the labeling service."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from sightsmith.database import TableBase, schema_metadata, utc_now
from sightsmith.events.tables import OutboxColumns

SCHEMA = "labeling"

# Ordered by code point whatever the database's locale is: pages and manifests come out the same everywhere.
OrderedText = Annotated[str, mapped_column(Text(collation="C"))]
Key = Annotated[int, mapped_column(BigInteger, Identity(always=True), primary_key=True)]


class Base(TableBase):
    """The base of labeling's tables."""

    __abstract__ = True
    metadata = schema_metadata(SCHEMA)


class ProjectRow(Base):
    """A project."""

    __tablename__ = "projects"

    id: Mapped[OrderedText] = mapped_column(primary_key=True)
    display_name: Mapped[str]
    last_snapshot_number: Mapped[int] = mapped_column(server_default="0")
    create_time: Mapped[datetime] = mapped_column(default=utc_now)


class DatasetRow(Base):
    """A dataset of a project."""

    __tablename__ = "datasets"
    __table_args__ = (
        UniqueConstraint("project", "id"),
        UniqueConstraint("project", "split"),
        CheckConstraint("split IN ('train', 'test')", name="split"),
    )

    key: Mapped[Key]
    project: Mapped[OrderedText] = mapped_column(ForeignKey(ProjectRow.id))
    id: Mapped[OrderedText]
    split: Mapped[str]
    create_time: Mapped[datetime] = mapped_column(default=utc_now)


class ImageRow(Base):
    """An image of a dataset. `sequence` is the order of arrival."""

    __tablename__ = "images"
    __table_args__ = (
        UniqueConstraint("dataset", "id"),
        UniqueConstraint("dataset", "sha256"),
        Index(None, "dataset", "sequence"),
    )

    sequence: Mapped[Key]
    dataset: Mapped[int] = mapped_column(ForeignKey(DatasetRow.key))
    id: Mapped[OrderedText]
    sha256: Mapped[OrderedText]
    source: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    size_bytes: Mapped[int]
    media_type: Mapped[str]
    create_time: Mapped[datetime] = mapped_column(default=utc_now)


class LabelRow(Base):
    """A label of a project. Annotations point here, so that renaming it is one row."""

    __tablename__ = "labels"
    __table_args__ = (UniqueConstraint("project", "name"),)

    key: Mapped[Key]
    project: Mapped[OrderedText] = mapped_column(ForeignKey(ProjectRow.id))
    name: Mapped[OrderedText]


class AnnotationRow(Base):
    """A label on an image, and who put it there."""

    __tablename__ = "annotations"
    __table_args__ = (
        UniqueConstraint("image", "label"),
        CheckConstraint("origin IN ('import', 'person', 'model')", name="origin"),
    )

    key: Mapped[Key]
    image: Mapped[int] = mapped_column(ForeignKey(ImageRow.sequence, ondelete="CASCADE"))
    label: Mapped[int] = mapped_column(ForeignKey(LabelRow.key), index=True)
    origin: Mapped[str]
    create_time: Mapped[datetime] = mapped_column(default=utc_now)


class SnapshotRow(Base):
    """A snapshot. `test_fraction` and `seed` are what was asked for, used only if `is_auto_split`."""

    __tablename__ = "snapshots"
    __table_args__ = (UniqueConstraint("project", "request_id"),)

    project: Mapped[OrderedText] = mapped_column(ForeignKey(ProjectRow.id), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    manifest_sha256: Mapped[str]
    manifest_key: Mapped[str]
    train_image_count: Mapped[int]
    test_image_count: Mapped[int]
    label_counts: Mapped[list[dict[str, Any]]]
    is_auto_split: Mapped[bool]
    test_fraction: Mapped[float]
    seed: Mapped[int]
    request_id: Mapped[uuid.UUID | None]
    create_time: Mapped[datetime] = mapped_column(default=utc_now)


class Outbox(OutboxColumns, Base):
    """Facts that labeling tells the other services."""
