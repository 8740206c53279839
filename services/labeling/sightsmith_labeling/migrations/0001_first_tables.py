"""Projects, datasets, images, labels, annotations, snapshots and the outbox."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

_SCHEMA = "labeling"
# Compared by code point, whatever the database's locale is.
_ORDERED_TEXT = sa.Text(collation="C")


def upgrade() -> None:
    """Creates everything."""
    _create_projects()
    _create_datasets()
    _create_images()
    _create_labels()
    _create_annotations()
    _create_snapshots()
    _create_outbox()


def downgrade() -> None:
    """Drops everything, what stands on something before what it stands on."""
    for table in ("outbox", "snapshots", "annotations", "labels", "images", "datasets", "projects"):
        op.drop_table(table, schema=_SCHEMA)


def _create_projects() -> None:
    op.create_table(
        "projects",
        sa.Column("id", _ORDERED_TEXT, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("last_snapshot_number", sa.BigInteger, nullable=False, server_default="0"),
        _create_time(),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        schema=_SCHEMA,
    )


def _create_datasets() -> None:
    op.create_table(
        "datasets",
        _identity("key"),
        sa.Column("project", _ORDERED_TEXT, nullable=False),
        sa.Column("id", _ORDERED_TEXT, nullable=False),
        sa.Column("split", sa.Text, nullable=False),
        _create_time(),
        sa.PrimaryKeyConstraint("key", name="pk_datasets"),
        sa.ForeignKeyConstraint(["project"], [f"{_SCHEMA}.projects.id"], name="fk_datasets_project"),
        sa.UniqueConstraint("project", "id", name="uq_datasets_project_id"),
        sa.UniqueConstraint("project", "split", name="uq_datasets_project_split"),
        sa.CheckConstraint("split IN ('train', 'test')", name="ck_datasets_split"),
        schema=_SCHEMA,
    )


def _create_images() -> None:
    op.create_table(
        "images",
        _identity("sequence"),
        sa.Column("dataset", sa.BigInteger, nullable=False),
        sa.Column("id", _ORDERED_TEXT, nullable=False),
        sa.Column("sha256", _ORDERED_TEXT, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("width", sa.BigInteger, nullable=False),
        sa.Column("height", sa.BigInteger, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        _create_time(),
        sa.PrimaryKeyConstraint("sequence", name="pk_images"),
        sa.ForeignKeyConstraint(["dataset"], [f"{_SCHEMA}.datasets.key"], name="fk_images_dataset"),
        sa.UniqueConstraint("dataset", "id", name="uq_images_dataset_id"),
        sa.UniqueConstraint("dataset", "sha256", name="uq_images_dataset_sha256"),
        schema=_SCHEMA,
    )
    op.create_index("ix_images_dataset_sequence", "images", ["dataset", "sequence"], schema=_SCHEMA)


def _create_labels() -> None:
    op.create_table(
        "labels",
        _identity("key"),
        sa.Column("project", _ORDERED_TEXT, nullable=False),
        sa.Column("name", _ORDERED_TEXT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_labels"),
        sa.ForeignKeyConstraint(["project"], [f"{_SCHEMA}.projects.id"], name="fk_labels_project"),
        sa.UniqueConstraint("project", "name", name="uq_labels_project_name"),
        schema=_SCHEMA,
    )


def _create_annotations() -> None:
    op.create_table(
        "annotations",
        _identity("key"),
        sa.Column("image", sa.BigInteger, nullable=False),
        sa.Column("label", sa.BigInteger, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        _create_time(),
        sa.PrimaryKeyConstraint("key", name="pk_annotations"),
        sa.ForeignKeyConstraint(
            ["image"], [f"{_SCHEMA}.images.sequence"], name="fk_annotations_image", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["label"], [f"{_SCHEMA}.labels.key"], name="fk_annotations_label"),
        sa.UniqueConstraint("image", "label", name="uq_annotations_image_label"),
        sa.CheckConstraint("origin IN ('import', 'person', 'model')", name="ck_annotations_origin"),
        schema=_SCHEMA,
    )
    op.create_index("ix_annotations_label", "annotations", ["label"], schema=_SCHEMA)


def _create_snapshots() -> None:
    op.create_table(
        "snapshots",
        sa.Column("project", _ORDERED_TEXT, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("manifest_sha256", sa.Text, nullable=False),
        sa.Column("manifest_key", sa.Text, nullable=False),
        sa.Column("train_image_count", sa.BigInteger, nullable=False),
        sa.Column("test_image_count", sa.BigInteger, nullable=False),
        sa.Column("label_counts", postgresql.JSONB, nullable=False),
        sa.Column("is_auto_split", sa.Boolean, nullable=False),
        sa.Column("test_fraction", sa.Double, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("request_id", sa.Uuid),
        _create_time(),
        sa.PrimaryKeyConstraint("project", "number", name="pk_snapshots"),
        sa.ForeignKeyConstraint(["project"], [f"{_SCHEMA}.projects.id"], name="fk_snapshots_project"),
        sa.UniqueConstraint("project", "request_id", name="uq_snapshots_project_request_id"),
        schema=_SCHEMA,
    )


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        _identity("sequence"),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("claim_token", sa.Uuid),
        sa.Column("claim_expire_time", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("sequence", name="pk_outbox"),
        schema=_SCHEMA,
    )


def _identity(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, sa.Identity(always=True), nullable=False)


def _create_time() -> sa.Column[datetime]:
    return sa.Column("create_time", sa.DateTime(timezone=True), nullable=False)
