"""Suggestions, the review queue, and which events were handled."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

_SCHEMA = "labeling"
_ORDERED_TEXT = sa.Text(collation="C")
_TIME = sa.DateTime(timezone=True)
_OPEN = "state IN ('pending', 'in_review', 'disputed')"


def upgrade() -> None:
    """Creates everything."""
    _create_suggestions()
    _create_review_policies()
    _create_review_items()
    _create_reviews()
    op.create_table(
        "handled_events",
        sa.Column("consumer", sa.Text, nullable=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("handle_time", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("consumer", "event_id", name="pk_handled_events"),
        schema=_SCHEMA,
    )


def _create_suggestions() -> None:
    op.create_table(
        "suggestions",
        _key(),
        sa.Column("project", _ORDERED_TEXT, nullable=False),
        sa.Column("image", sa.BigInteger, nullable=False),
        sa.Column("label", _ORDERED_TEXT, nullable=False),
        sa.Column("box", postgresql.ARRAY(sa.Double)),
        sa.Column("confidence", sa.Double, nullable=False),
        sa.Column("model", _ORDERED_TEXT, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("corrected_label", sa.Text),
        sa.Column("corrected_box", postgresql.ARRAY(sa.Double)),
        sa.Column("decider", sa.Text, nullable=False),
        sa.Column("decide_time", _TIME),
        sa.Column("create_time", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_suggestions"),
        _of_project("suggestions"),
        sa.ForeignKeyConstraint(
            ["image"], [f"{_SCHEMA}.images.sequence"], name="fk_suggestions_image", ondelete="CASCADE"
        ),
        sa.CheckConstraint("state IN ('pending', 'accepted', 'corrected', 'rejected')", name="ck_suggestions_state"),
        schema=_SCHEMA,
    )
    for columns in (["project", "image", "key"], ["project", "confidence", "key"], ["image", "model"]):
        op.create_index(f"ix_suggestions_{'_'.join(columns)}", "suggestions", columns, schema=_SCHEMA)


def _create_review_policies() -> None:
    op.create_table(
        "review_policies",
        sa.Column("project", _ORDERED_TEXT, nullable=False),
        sa.Column("required_reviews", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project", name="pk_review_policies"),
        _of_project("review_policies"),
        sa.CheckConstraint("required_reviews > 0", name="ck_review_policies_required_reviews"),
        schema=_SCHEMA,
    )


def _create_review_items() -> None:
    op.create_table(
        "review_items",
        _key(),
        sa.Column("project", _ORDERED_TEXT, nullable=False),
        sa.Column("sha256", _ORDERED_TEXT, nullable=False),
        *(sa.Column(name, _ORDERED_TEXT, nullable=False) for name in ("prediction_id", "deployment", "model")),
        sa.Column("predictions", postgresql.JSONB, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("image", sa.Text),
        sa.Column("decider", sa.Text, nullable=False),
        sa.Column("decide_time", _TIME),
        sa.Column("create_time", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_review_items"),
        _of_project("review_items"),
        sa.UniqueConstraint("project", "prediction_id", name="uq_review_items_project_prediction_id"),
        sa.CheckConstraint("reason IN ('random', 'low_confidence', 'requested')", name="ck_review_items_reason"),
        sa.CheckConstraint(
            "state IN ('pending', 'in_review', 'accepted', 'rejected', 'disputed')", name="ck_review_items_state"
        ),
        schema=_SCHEMA,
    )
    op.create_index("ix_review_items_project_key", "review_items", ["project", "key"], schema=_SCHEMA)
    op.create_index("ix_review_items_sha256", "review_items", ["sha256"], schema=_SCHEMA)
    op.create_index(
        "uq_review_items_open",
        "review_items",
        ["project", "sha256", "model"],
        unique=True,
        schema=_SCHEMA,
        postgresql_where=sa.text(_OPEN),
    )
    for name, columns in (("undecided", ["create_time"]), ("open", ["project", "key"])):
        where = sa.text(_OPEN)
        op.create_index(f"ix_review_items_{name}", "review_items", columns, schema=_SCHEMA, postgresql_where=where)


def _create_reviews() -> None:
    op.create_table(
        "reviews",
        sa.Column("item", sa.BigInteger, nullable=False),
        sa.Column("reviewer", _ORDERED_TEXT, nullable=False),
        sa.Column("assign_time", _TIME, nullable=False),
        sa.Column("expire_time", _TIME),
        sa.Column("submit_time", _TIME),
        sa.Column("verdict", sa.Text),
        sa.Column("labels", postgresql.JSONB, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("item", "reviewer", name="pk_reviews"),
        sa.ForeignKeyConstraint(["item"], [f"{_SCHEMA}.review_items.key"], name="fk_reviews_item", ondelete="CASCADE"),
        sa.CheckConstraint("verdict IN ('labelled', 'none', 'skipped')", name="ck_reviews_verdict"),
        sa.CheckConstraint("(verdict IS NULL) = (submit_time IS NULL)", name="ck_reviews_submitted"),
        schema=_SCHEMA,
    )
    op.create_index("ix_reviews_reviewer", "reviews", ["reviewer"], schema=_SCHEMA)


def _key() -> "sa.Column[int]":
    return sa.Column("key", sa.BigInteger, sa.Identity(always=True), nullable=False)


def _of_project(table: str) -> sa.ForeignKeyConstraint:
    """Whatever belongs to a project goes with it."""
    return sa.ForeignKeyConstraint(
        ["project"], [f"{_SCHEMA}.projects.id"], name=f"fk_{table}_project", ondelete="CASCADE"
    )
