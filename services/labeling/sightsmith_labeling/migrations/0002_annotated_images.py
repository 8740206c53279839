"""Boxes, states and problems of images, exact tallies, the audit trail; annotations move into their image's row."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

_SCHEMA = "labeling"
_ORDERED_TEXT = sa.Text(collation="C")

_LABELS_OF_SEVERAL = """
CREATE FUNCTION labeling.labels_of_several(annotations jsonb) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT array_agg(DISTINCT (value ->> 'label')::bigint) FROM jsonb_array_elements(annotations))
"""
# Most images have one annotation or none. Without a subquery this becomes part of the statement, a call does not.
_LABELS_OF = """
CREATE FUNCTION labeling.labels_of(annotations jsonb) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN jsonb_array_length(annotations) > 1 THEN labeling.labels_of_several(annotations)
    ELSE translate(jsonb_path_query_array(annotations, '$[*].label')::text, '[]', '{}')::bigint[]
END
"""

_MOVE_ANNOTATIONS = """
UPDATE labeling.images SET
    annotations = moved.annotations, last_annotation = jsonb_array_length(moved.annotations)
FROM (
    SELECT image, jsonb_agg(
        jsonb_build_object(
            'id', place, 'label', label, 'origin', origin, 'author', '',
            'time', to_char(create_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        ) ORDER BY place
    ) AS annotations
    FROM (SELECT *, row_number() OVER (PARTITION BY image ORDER BY key) AS place FROM labeling.annotations) AS numbered
    GROUP BY image
) AS moved
WHERE images.sequence = moved.image
"""

# A statement's rows, each counting for or against. A dataset that is being deleted takes its tallies along.
_TALLY = """
CREATE FUNCTION labeling.tally_{operation}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO labeling.image_tallies (dataset, images, labelled, erroneous, unready)
    SELECT dataset, sum(sign), sum(sign * is_labelled::int), sum(sign * has_errors::int),
           sum(sign * (state <> 'ready')::int)
    FROM ({rows}) AS counted
    WHERE EXISTS (SELECT FROM labeling.datasets WHERE key = dataset)
    GROUP BY dataset
    HAVING (sum(sign), sum(sign * is_labelled::int), sum(sign * has_errors::int), sum(sign * (state <> 'ready')::int))
        IS DISTINCT FROM (0, 0, 0, 0);
    INSERT INTO labeling.label_tallies (dataset, label, images, boxes)
    SELECT dataset, label, sum(sign), sum(sign * boxes)
    FROM ({rows}) AS counted
    CROSS JOIN LATERAL (
        SELECT (value ->> 'label')::bigint AS label, count(*) FILTER (WHERE value ? 'box') AS boxes
        FROM jsonb_array_elements(annotations) GROUP BY 1
    ) AS labels
    WHERE EXISTS (SELECT FROM labeling.datasets WHERE key = dataset)
    GROUP BY dataset, label
    HAVING (sum(sign), sum(sign * boxes)) IS DISTINCT FROM (0, 0);
    RETURN NULL;
END
$$
"""
_NEW = "SELECT 1 AS sign, * FROM new_images"
_OLD = "SELECT -1 AS sign, * FROM old_images"
_TRIGGERS = {
    "insert": (_NEW, "NEW TABLE AS new_images"),
    "update": (f"{_NEW} UNION ALL {_OLD}", "OLD TABLE AS old_images NEW TABLE AS new_images"),
    "delete": (_OLD, "OLD TABLE AS old_images"),
}


def upgrade() -> None:
    """Creates what is new and moves the annotations."""
    op.add_column("projects", _json("tags", "{}"), schema=_SCHEMA)
    op.add_column("labels", _now("create_time"), schema=_SCHEMA)
    _let_projects_go()
    _extend_images()
    op.execute(_MOVE_ANNOTATIONS)
    op.drop_table("annotations", schema=_SCHEMA)
    _index_images()
    _create_tallies()
    _create_changes()
    op.add_column("snapshots", _count("unready_image_count"), schema=_SCHEMA)
    includes = sa.Column("includes_unlabelled", sa.Boolean, nullable=False, server_default="false")
    op.add_column("snapshots", includes, schema=_SCHEMA)
    op.add_column("snapshots", _count("unlabelled_image_count"), schema=_SCHEMA)
    op.add_column("snapshots", _json("embeddings", "[]"), schema=_SCHEMA)


def _let_projects_go() -> None:
    """Whatever belongs to a project goes with it."""
    for table, column, target in (
        ("datasets", "project", "projects.id"),
        ("labels", "project", "projects.id"),
        ("snapshots", "project", "projects.id"),
        ("images", "dataset", "datasets.key"),
    ):
        name = f"fk_{table}_{column}"
        other, other_column = target.split(".")
        op.drop_constraint(name, table, schema=_SCHEMA, type_="foreignkey")
        op.create_foreign_key(
            name,
            table,
            other,
            [column],
            [other_column],
            ondelete="CASCADE",
            source_schema=_SCHEMA,
            referent_schema=_SCHEMA,
        )


def _extend_images() -> None:
    op.execute(_LABELS_OF_SEVERAL)
    op.execute(_LABELS_OF)
    for column in ("sha256", "width", "height", "size_bytes", "media_type"):
        op.alter_column("images", column, nullable=True, schema=_SCHEMA)
    bigints = postgresql.ARRAY(sa.BigInteger)
    for new in (
        sa.Column("state", sa.Text, nullable=False, server_default="ready"),
        _computed("file_name", _ORDERED_TEXT, "left(split_part(source, '/', -1), 200)"),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default="1"),
        _json("annotations", "[]"),
        _count("last_annotation"),
        _json("problems", "[]"),
        _computed("labels", bigints, "labeling.labels_of(annotations)"),
        _computed("is_labelled", sa.Boolean, "jsonb_array_length(annotations) > 0"),
        _computed("has_errors", sa.Boolean, "jsonb_array_length(problems) > 0"),
        sa.Column("signals", postgresql.JSONB),
        _now("update_time"),
    ):
        op.add_column("images", new, schema=_SCHEMA)
    op.create_check_constraint("ck_images_state", "images", "state IN ('pending', 'ready', 'failed')", schema=_SCHEMA)
    op.create_check_constraint("ck_images_bytes", "images", "(state = 'ready') = (sha256 IS NOT NULL)", schema=_SCHEMA)


def _index_images() -> None:
    op.create_index("ix_images_dataset_file_name", "images", ["dataset", "file_name"], schema=_SCHEMA)
    op.create_index("ix_images_dataset_labelled", "images", ["dataset", "is_labelled", "sequence"], schema=_SCHEMA)
    op.create_index(
        "ix_images_erroneous",
        "images",
        ["dataset", "sequence"],
        schema=_SCHEMA,
        postgresql_where=sa.text("has_errors"),
    )
    op.create_index(
        "ix_images_pending", "images", ["sequence"], schema=_SCHEMA, postgresql_where=sa.text("state = 'pending'")
    )
    op.create_index("ix_images_labels", "images", ["labels"], schema=_SCHEMA, postgresql_using="gin")
    has_bytes = sa.text("sha256 IS NOT NULL")
    op.create_index("ix_images_sha256", "images", ["sha256"], schema=_SCHEMA, postgresql_where=has_bytes)
    op.drop_constraint("uq_images_dataset_sha256", "images", schema=_SCHEMA, type_="unique")
    op.create_index(
        "uq_images_bytes", "images", ["dataset", "sha256"], unique=True, schema=_SCHEMA, postgresql_where=has_bytes
    )
    op.create_index(
        "ix_images_unmeasured",
        "images",
        ["sequence"],
        schema=_SCHEMA,
        postgresql_where=sa.text("signals IS NULL AND state = 'ready' AND NOT has_errors"),
    )
    op.create_index(
        "uq_images_reference",
        "images",
        ["dataset", sa.text("(md5(source)::uuid)")],
        unique=True,
        schema=_SCHEMA,
        postgresql_where=sa.text("sha256 IS NULL"),
    )


def _create_tallies() -> None:
    for table, *columns in (
        ("image_tallies", "dataset", "images", "labelled", "erroneous", "unready"),
        ("label_tallies", "dataset", "label", "images", "boxes"),
    ):
        op.create_table(
            table,
            sa.Column("key", sa.BigInteger, sa.Identity(always=True), nullable=False),
            *(sa.Column(column, sa.BigInteger, nullable=False) for column in columns),
            sa.PrimaryKeyConstraint("key", name=f"pk_{table}"),
            sa.ForeignKeyConstraint(
                ["dataset"], [f"{_SCHEMA}.datasets.key"], name=f"fk_{table}_dataset", ondelete="CASCADE"
            ),
            schema=_SCHEMA,
        )
    op.create_index("ix_image_tallies_dataset", "image_tallies", ["dataset"], schema=_SCHEMA)
    op.create_index("ix_label_tallies_dataset_label", "label_tallies", ["dataset", "label"], schema=_SCHEMA)
    for operation, (rows, tables) in _TRIGGERS.items():
        op.execute(_TALLY.format(operation=operation, rows=rows))
        op.execute(
            f"CREATE TRIGGER tally_{operation} AFTER {operation.upper()} ON labeling.images "
            f"REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION labeling.tally_{operation}()"
        )
    # Counts what is there already: an update of every row to itself would not, so the rows are counted once here.
    op.execute(
        "INSERT INTO labeling.image_tallies (dataset, images, labelled, erroneous, unready) "
        "SELECT dataset, count(*), count(*) FILTER (WHERE is_labelled), 0, 0 FROM labeling.images GROUP BY dataset"
    )
    op.execute(
        "INSERT INTO labeling.label_tallies (dataset, label, images, boxes) "
        "SELECT dataset, unnest(labels) AS label, count(*), 0 FROM labeling.images GROUP BY 1, 2"
    )


def _create_changes() -> None:
    op.create_table(
        "changes",
        sa.Column("key", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("project", _ORDERED_TEXT, nullable=False),
        sa.Column("resource", _ORDERED_TEXT, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("details", postgresql.JSONB, nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_changes"),
        schema=_SCHEMA,
    )
    op.create_index("ix_changes_project_key", "changes", ["project", "key"], schema=_SCHEMA)
    op.create_index("ix_changes_resource", "changes", ["resource", "key"], schema=_SCHEMA)


def _json(name: str, default: str) -> sa.Column[object]:
    return sa.Column(name, postgresql.JSONB, nullable=False, server_default=default)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())


def _computed(name: str, kind: Any, expression: str) -> sa.Column[Any]:
    return sa.Column(name, kind, sa.Computed(expression, persisted=True), nullable=False)
