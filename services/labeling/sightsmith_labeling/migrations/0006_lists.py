"""What makes lists of images quick whatever they are filtered and ordered by."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_SCHEMA = "labeling"

# What a statement did to the images: how many each dataset gained and lost, and which labels it put where.
_COUNT_IMAGES = """
    INSERT INTO labeling.image_tallies (dataset, images, labelled, erroneous, unready)
    SELECT dataset, sum(sign), sum(sign * is_labelled::int), sum(sign * has_errors::int),
           sum(sign * (state <> 'ready')::int)
    FROM ({rows}) AS counted
    WHERE EXISTS (SELECT FROM labeling.datasets WHERE key = dataset)
    GROUP BY dataset
    HAVING (sum(sign), sum(sign * is_labelled::int), sum(sign * has_errors::int), sum(sign * (state <> 'ready')::int))
        IS DISTINCT FROM (0, 0, 0, 0);
"""
_COUNT_LABELS = """
    INSERT INTO labeling.label_tallies (dataset, label, images, boxes)
    SELECT dataset, label, sum(images), sum(boxes)
    FROM (
        SELECT dataset, unnest(labels) AS label, sign AS images, 0 AS boxes FROM ({rows}) AS changed
        UNION ALL
        SELECT dataset, (annotation ->> 'label')::bigint, 0, sign
        FROM ({rows}) AS changed CROSS JOIN LATERAL jsonb_array_elements(annotations) AS annotation
        WHERE annotation ? 'box'
    ) AS counted
    WHERE EXISTS (SELECT FROM labeling.datasets WHERE key = dataset)
    GROUP BY dataset, label
    HAVING (sum(images), sum(boxes)) IS DISTINCT FROM (0, 0);
"""
_NEW = "SELECT 1 AS sign, * FROM new_images"
_OLD = "SELECT -1 AS sign, * FROM old_images"
_NEW_LABELS = "SELECT dataset, unnest(labels) AS label, create_time, sequence FROM new_images"
_OLD_LABELS = "SELECT dataset, unnest(labels) AS label, create_time, sequence FROM old_images"
_PUT = "INSERT INTO labeling.image_labels (dataset, label, create_time, sequence) {labels};"
_TAKE = """
    DELETE FROM labeling.image_labels AS there USING ({labels}) AS gone
    WHERE (there.dataset, there.label, there.create_time, there.sequence)
        = (gone.dataset, gone.label, gone.create_time, gone.sequence);
"""
_TALLIES = {
    "insert": (_NEW, _PUT.format(labels=_NEW_LABELS)),
    "update": (
        f"{_NEW} UNION ALL {_OLD}",
        _TAKE.format(labels=f"{_OLD_LABELS} EXCEPT {_NEW_LABELS}")
        + _PUT.format(labels=f"{_NEW_LABELS} EXCEPT {_OLD_LABELS}"),
    ),
    "delete": (_OLD, _TAKE.format(labels=_OLD_LABELS)),
}


def upgrade() -> None:
    """Creates everything."""
    _create_image_labels()
    for operation, (rows, labels) in _TALLIES.items():
        body = _COUNT_IMAGES.format(rows=rows) + _COUNT_LABELS.format(rows=rows) + labels
        op.execute(
            f"CREATE OR REPLACE FUNCTION labeling.tally_{operation}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {body} RETURN NULL; END $$"
        )
    _index_images()


def _create_image_labels() -> None:
    op.create_table(
        "image_labels",
        sa.Column("dataset", sa.BigInteger, nullable=False),
        sa.Column("label", sa.BigInteger, nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("dataset", "label", "create_time", "sequence", name="pk_image_labels"),
        schema=_SCHEMA,
    )
    op.execute(
        "INSERT INTO labeling.image_labels (dataset, label, create_time, sequence) "
        "SELECT dataset, unnest(labels), create_time, sequence FROM labeling.images"
    )
    # An index on the array finds all images of a label, but not the first hundred of them in order.
    op.drop_index("ix_images_labels", "images", schema=_SCHEMA)


def _index_images() -> None:
    head = sa.Column(
        "source_head", sa.Text(collation="C"), sa.Computed("left(source, 500)", persisted=True), nullable=False
    )
    op.add_column("images", head, schema=_SCHEMA)
    # With the source in it, so that looking for a part of a source reads this index alone.
    op.create_index(
        "ix_images_arrival",
        "images",
        ["dataset", "create_time", "sequence"],
        schema=_SCHEMA,
        postgresql_include=["source_head"],
    )
    op.create_index("ix_images_source", "images", ["dataset", "source_head", "sequence"], schema=_SCHEMA)
    op.drop_index("ix_images_dataset_labelled", "images", schema=_SCHEMA)
    op.create_index(
        "ix_images_labelled", "images", ["dataset", "is_labelled", "create_time", "sequence"], schema=_SCHEMA
    )
    op.drop_index("ix_images_erroneous", "images", schema=_SCHEMA)
    op.create_index(
        "ix_images_erroneous",
        "images",
        ["dataset", "create_time", "sequence"],
        schema=_SCHEMA,
        postgresql_where=sa.text("has_errors"),
    )
    op.create_index(
        "ix_images_unready",
        "images",
        ["dataset", "state", "create_time", "sequence"],
        schema=_SCHEMA,
        postgresql_where=sa.text("state <> 'ready'"),
    )
    for what in ("origin", "author"):
        op.execute(
            f"CREATE INDEX ix_images_{what}s ON labeling.images "
            f"USING gin (jsonb_path_query_array(annotations, '$[*].{what}') jsonb_path_ops)"
        )
