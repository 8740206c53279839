"""Evaluations as things of their own, and what became of every label and box of their images."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "training_0007"
down_revision = "training_0006"

_SCHEMA = "training"
_OUTCOMES = ("true_positives", "false_positives", "false_negatives")
# Every model so far gives a whole image its labels.
_FILL_IMAGES = """
UPDATE training.evaluated_images AS image SET
  evaluation_id = evaluations.id,
  true_positives = ARRAY(
    SELECT label FROM unnest(predicted_labels) WITH ORDINALITY AS given (label, place)
    WHERE label = ANY(true_labels) ORDER BY place),
  false_positives = ARRAY(
    SELECT label FROM unnest(predicted_labels) WITH ORDINALITY AS given (label, place)
    WHERE label <> ALL(true_labels) ORDER BY place),
  false_negatives = ARRAY(SELECT label FROM unnest(true_labels) AS label WHERE label <> ALL(predicted_labels))
FROM training.evaluations WHERE evaluations.model_id = image.model_id
"""
# As `JudgedImage.rank` has it.
_FILL_RANKS = """
UPDATE training.evaluated_images SET rank = CASE
  WHEN cardinality(false_positives) > 0 THEN -confidence
  WHEN cardinality(false_negatives) > 0 THEN 0
  ELSE 2 - confidence END
"""


def upgrade() -> None:
    """Moves the figures out of the models, and gives the images to their evaluations."""
    _create_evaluations()
    _add_columns()
    op.execute(_FILL_IMAGES)
    op.drop_constraint("pk_evaluated_images", "evaluated_images", schema=_SCHEMA)
    op.drop_column("evaluated_images", "rank", schema=_SCHEMA)
    op.add_column("evaluated_images", sa.Column("rank", sa.Double), schema=_SCHEMA)
    op.execute(_FILL_RANKS)
    for name in (*_OUTCOMES, "evaluation_id", "rank"):
        op.alter_column("evaluated_images", name, nullable=False, schema=_SCHEMA)
    op.drop_constraint("fk_evaluated_images_model_id", "evaluated_images", schema=_SCHEMA)
    op.drop_column("evaluated_images", "model_id", schema=_SCHEMA)
    op.create_primary_key("pk_evaluated_images", "evaluated_images", ["evaluation_id", "image"], schema=_SCHEMA)
    op.create_foreign_key(
        "fk_evaluated_images_evaluation_id",
        "evaluated_images",
        "evaluations",
        ["evaluation_id"],
        ["id"],
        source_schema=_SCHEMA,
        referent_schema=_SCHEMA,
        ondelete="CASCADE",
    )
    op.create_index("ix_evaluated_images_rank", "evaluated_images", ["evaluation_id", "rank", "image"], schema=_SCHEMA)
    op.drop_column("models", "evaluation", schema=_SCHEMA)


def _create_evaluations() -> None:
    op.create_table(
        "evaluations",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("model_id", sa.Uuid, nullable=False),
        sa.Column("is_own", sa.Boolean, nullable=False),
        sa.Column("snapshot", sa.Text, nullable=False),
        sa.Column("figures", JSONB, nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_evaluations"),
        sa.ForeignKeyConstraint(
            ["model_id"], ["training.models.id"], name="fk_evaluations_model_id", ondelete="CASCADE"
        ),
        schema=_SCHEMA,
    )
    op.create_index("ix_evaluations_model_id", "evaluations", ["model_id"], schema=_SCHEMA)
    op.create_index(
        "ix_evaluations_own",
        "evaluations",
        ["model_id"],
        unique=True,
        schema=_SCHEMA,
        postgresql_where=sa.text("is_own"),
    )
    op.execute(
        "INSERT INTO training.evaluations"
        " SELECT gen_random_uuid(), id, true, snapshot, evaluation, create_time FROM training.models"
    )


def _add_columns() -> None:
    for column in (
        sa.Column("evaluation_id", sa.Uuid),
        sa.Column("width", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("height", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("true_boxes", JSONB, nullable=False, server_default="[]"),
        sa.Column("detections", JSONB, nullable=False, server_default="[]"),
        *(sa.Column(name, ARRAY(sa.Text)) for name in _OUTCOMES),
    ):
        op.add_column("evaluated_images", column, schema=_SCHEMA)
