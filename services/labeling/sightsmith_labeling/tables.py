"""The tables that the whole labeling service shares; those of a single capability are in its own folder."""

import uuid
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Computed,
    ForeignKey,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from sightsmith.database import TableBase, schema_metadata, utc_now
from sightsmith.events.tables import OutboxColumns

SCHEMA = "labeling"
MIGRATIONS = Path(__file__).parent / "migrations"

# Ordered by code point whatever the database's locale is: pages and manifests come out the same everywhere.
OrderedText = Annotated[str, mapped_column(Text(collation="C"))]
Key = Annotated[int, mapped_column(BigInteger, Identity(always=True), primary_key=True)]


# Who made an image's annotations, as the database indexes it.
ORIGINS = "jsonb_path_query_array(annotations, '$[*].origin'::jsonpath)"
AUTHORS = "jsonb_path_query_array(annotations, '$[*].author'::jsonpath)"
# The ids of the images that an entry of the audit trail is about, if it is about many.
CHANGED_IMAGES = "details -> 'images'"
HAS_CHANGED_IMAGES = "details ? 'images'"


class Base(TableBase):
    """The base of labeling's tables."""

    __abstract__ = True
    metadata = schema_metadata(SCHEMA)


class ProjectRow(Base):
    """A project."""

    __tablename__ = "projects"

    id: Mapped[OrderedText] = mapped_column(primary_key=True)
    display_name: Mapped[str]
    tags: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}", default=dict)
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
    project: Mapped[OrderedText] = mapped_column(ForeignKey(ProjectRow.id, ondelete="CASCADE"))
    id: Mapped[OrderedText]
    split: Mapped[str]
    create_time: Mapped[datetime] = mapped_column(default=utc_now)


class ImageRow(Base):
    """An image of a dataset with everything that is annotated on it. `sequence` is the order of arrival.

    An image is edited as a whole, under one revision, so its annotations are part of its row: `annotations.py` tells
    what is in them. The computed columns are what lists and statistics ask for; the database keeps them true.

    An image that was imported by reference alone has no `sha256` until its bytes were fetched.
    """

    __tablename__ = "images"
    __table_args__ = (
        UniqueConstraint("dataset", "id"),
        CheckConstraint("state IN ('pending', 'ready', 'failed')", name="state"),
        CheckConstraint("(state = 'ready') = (sha256 IS NOT NULL)", name="bytes"),
        Index("ix_images_dataset_sequence", "dataset", "sequence"),
        Index("ix_images_dataset_file_name", "dataset", "file_name"),
        # With the source in it, so that looking for a part of a source reads this index alone.
        Index("ix_images_arrival", "dataset", "create_time", "sequence", postgresql_include=["source_head"]),
        Index("ix_images_source", "dataset", "source_head", "sequence"),
        Index("ix_images_labelled", "dataset", "is_labelled", "create_time", "sequence"),
        Index("ix_images_erroneous", "dataset", "create_time", "sequence", postgresql_where=text("has_errors")),
        Index(
            "ix_images_unready",
            "dataset",
            "state",
            "create_time",
            "sequence",
            postgresql_where=text("state <> 'ready'"),
        ),
        Index("ix_images_origins", text(f"({ORIGINS}) jsonb_path_ops"), postgresql_using="gin"),
        Index("ix_images_authors", text(f"({AUTHORS}) jsonb_path_ops"), postgresql_using="gin"),
        Index("ix_images_pending", "sequence", postgresql_where=text("state = 'pending'")),
        Index("ix_images_sha256", "sha256", postgresql_where=text("sha256 IS NOT NULL")),
        Index("uq_images_bytes", "dataset", "sha256", unique=True, postgresql_where=text("sha256 IS NOT NULL")),
        Index(
            "ix_images_unmeasured",
            "sequence",
            postgresql_where=text("signals IS NULL AND state = 'ready' AND NOT has_errors"),
        ),
        # One row for each thing referred to, until it is known by its bytes.
        Index(
            "uq_images_reference",
            "dataset",
            text("(md5(source)::uuid)"),
            unique=True,
            postgresql_where=text("sha256 IS NULL"),
        ),
    )

    sequence: Mapped[Key]
    dataset: Mapped[int] = mapped_column(ForeignKey(DatasetRow.key, ondelete="CASCADE"))
    id: Mapped[OrderedText]
    state: Mapped[str] = mapped_column(server_default="ready", default="ready")
    sha256: Mapped[str | None] = mapped_column(Text(collation="C"))
    source: Mapped[str]
    # The last part of the source, as annotation files name images; cut, because an index entry must stay short.
    file_name: Mapped[OrderedText] = mapped_column(Computed("left(split_part(source, '/', -1), 200)", persisted=True))
    # What lists are ordered and searched by; cut for the same reason.
    source_head: Mapped[OrderedText] = mapped_column(Computed("left(source, 500)", persisted=True))
    width: Mapped[int | None]
    height: Mapped[int | None]
    size_bytes: Mapped[int | None]
    media_type: Mapped[str | None]
    revision: Mapped[int] = mapped_column(server_default="1", default=1)
    annotations: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]", default=list)
    # The highest annotation id that was ever given, so that none is given twice.
    last_annotation: Mapped[int] = mapped_column(server_default="0", default=0)
    # What an import or the fetching of the bytes found wrong: `code`, `message`, and where.
    problems: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]", default=list)
    # Keys of the labels that are on the image, each once.
    labels: Mapped[list[int]] = mapped_column(
        ARRAY(BigInteger), Computed("labeling.labels_of(annotations)", persisted=True)
    )
    is_labelled: Mapped[bool] = mapped_column(Boolean, Computed("jsonb_array_length(annotations) > 0", persisted=True))
    has_errors: Mapped[bool] = mapped_column(Boolean, Computed("jsonb_array_length(problems) > 0", persisted=True))
    # What the pixels say, measured once when the bytes came; null for images that came before it was measured.
    signals: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    create_time: Mapped[datetime] = mapped_column(default=utc_now)
    update_time: Mapped[datetime] = mapped_column(server_default=func.now(), default=utc_now)


class ImageLabelRow(Base):
    """A label that an image carries, in the order of lists. Triggers on `images` keep the rows true.

    It says what `ImageRow.labels` says, but gives the first images of a label without reading all of them.
    """

    __tablename__ = "image_labels"

    # Without foreign keys: the triggers alone write it.
    dataset: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    label: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    create_time: Mapped[datetime] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)


class LabelRow(Base):
    """A label of a project. Annotations name its key, so that renaming it is one row."""

    __tablename__ = "labels"
    __table_args__ = (UniqueConstraint("project", "name"),)

    key: Mapped[Key]
    project: Mapped[OrderedText] = mapped_column(ForeignKey(ProjectRow.id, ondelete="CASCADE"))
    name: Mapped[OrderedText]
    create_time: Mapped[datetime] = mapped_column(server_default=func.now(), default=utc_now)


class ImageTallyRow(Base):
    """A change to the number of images of a dataset; the sum of its rows is the number.

    Triggers on `images` add a row for each statement, so that counts are exact and no two writers wait for each other.
    `statistics.py` sums them up and folds them together.
    """

    __tablename__ = "image_tallies"
    __table_args__ = (Index("ix_image_tallies_dataset", "dataset"),)

    key: Mapped[Key]
    dataset: Mapped[int] = mapped_column(ForeignKey(DatasetRow.key, ondelete="CASCADE"))
    images: Mapped[int]
    labelled: Mapped[int]
    erroneous: Mapped[int]
    unready: Mapped[int]


class LabelTallyRow(Base):
    """A change to the number of images and boxes of a label in a dataset; see `ImageTallyRow`."""

    __tablename__ = "label_tallies"
    __table_args__ = (Index("ix_label_tallies_dataset_label", "dataset", "label"),)

    key: Mapped[Key]
    dataset: Mapped[int] = mapped_column(ForeignKey(DatasetRow.key, ondelete="CASCADE"))
    label: Mapped[int]
    images: Mapped[int]
    boxes: Mapped[int]


class ChangeRow(Base):
    """An entry of the audit trail: who did what to which resource, and when."""

    __tablename__ = "changes"
    __table_args__ = (
        Index("ix_changes_project_key", "project", "key"),
        Index("ix_changes_resource", "resource", "key"),
        # Entries about many images name them, so that the history of each image has them.
        Index(
            "ix_changes_images",
            text(f"({CHANGED_IMAGES}) jsonb_path_ops"),
            postgresql_using="gin",
            postgresql_where=text(HAS_CHANGED_IMAGES),
        ),
    )

    key: Mapped[Key]
    # No foreign key: the trail outlives what it tells of.
    project: Mapped[OrderedText]
    resource: Mapped[OrderedText]
    action: Mapped[str]
    actor: Mapped[str]
    request_id: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)
    create_time: Mapped[datetime] = mapped_column(default=utc_now)


class SnapshotRow(Base):
    """A snapshot. `test_fraction` and `seed` are what was asked for, used only if `is_auto_split`."""

    __tablename__ = "snapshots"
    __table_args__ = (UniqueConstraint("project", "request_id"),)

    project: Mapped[OrderedText] = mapped_column(ForeignKey(ProjectRow.id, ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    manifest_sha256: Mapped[str]
    manifest_key: Mapped[str]
    train_image_count: Mapped[int]
    test_image_count: Mapped[int]
    # Labelled images that are not in it, because their bytes were not there.
    unready_image_count: Mapped[int] = mapped_column(server_default="0", default=0)
    # Whether images without annotations were asked for, and how many are in it.
    includes_unlabelled: Mapped[bool] = mapped_column(server_default="false", default=False)
    unlabelled_image_count: Mapped[int] = mapped_column(server_default="0", default=0)
    label_counts: Mapped[list[dict[str, Any]]]
    # Files of embeddings that go with the manifest: `backbone`, `key`, `sha256`, `image_count`.
    embeddings: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]", default=list)
    is_auto_split: Mapped[bool]
    test_fraction: Mapped[float]
    seed: Mapped[int]
    request_id: Mapped[uuid.UUID | None]
    create_time: Mapped[datetime] = mapped_column(default=utc_now)


class Outbox(OutboxColumns, Base):
    """Facts that labeling tells the other services."""
