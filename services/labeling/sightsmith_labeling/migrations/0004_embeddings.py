"""Embeddings of images, and the queue of those that wait for theirs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_SCHEMA = "labeling"
_ORDERED_TEXT = sa.Text(collation="C")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Creates everything."""
    op.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
    _create_embeddings()
    _create_embedding_queue()


def _create_embeddings() -> None:
    op.create_table(
        "embeddings",
        sa.Column("sha256", _ORDERED_TEXT, nullable=False),
        sa.Column("backbone", _ORDERED_TEXT, nullable=False),
        sa.Column("vector", sa.LargeBinary),
        sa.Column("problem", sa.Text),
        sa.Column("create_time", _TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("sha256", "backbone", name="pk_embeddings"),
        sa.CheckConstraint("(vector IS NULL) = (problem IS NOT NULL)", name="ck_embeddings_vector_or_problem"),
        schema=_SCHEMA,
    )
    # Floats do not compress: trying to would only cost time.
    op.execute("ALTER TABLE labeling.embeddings ALTER COLUMN vector SET STORAGE EXTERNAL")
    op.execute("ALTER TABLE labeling.embeddings ADD COLUMN direction public.halfvec")
    op.execute("ALTER TABLE labeling.embeddings ALTER COLUMN direction SET STORAGE EXTERNAL")
    op.execute("ALTER TABLE labeling.embeddings ADD COLUMN sketch public.halfvec(128)")
    op.execute("CREATE INDEX ix_embeddings_sketch ON labeling.embeddings USING hnsw (sketch public.halfvec_l2_ops)")
    op.create_index(
        "ix_embeddings_problem",
        "embeddings",
        ["backbone", "sha256"],
        schema=_SCHEMA,
        postgresql_where=sa.text("problem IS NOT NULL"),
    )


def _create_embedding_queue() -> None:
    op.create_table(
        "embedding_queue",
        sa.Column("key", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("sha256", _ORDERED_TEXT, nullable=False),
        sa.Column("queue_time", _TIME, nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("claim_expire_time", _TIME),
        sa.PrimaryKeyConstraint("key", name="pk_embedding_queue"),
        schema=_SCHEMA,
    )
    op.create_index("ix_embedding_queue_sha256", "embedding_queue", ["sha256"], schema=_SCHEMA)
    # No unique key: two writers of the same images would wait for each other, and an image that stands here twice is
    # found to be done the second time.
    op.execute(
        """
        CREATE FUNCTION labeling.queue_new_images_for_embedding() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO labeling.embedding_queue (sha256) SELECT sha256 FROM added WHERE sha256 IS NOT NULL;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER images_inserted_embedding AFTER INSERT ON labeling.images REFERENCING NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION labeling.queue_new_images_for_embedding()
        """
    )
    op.execute(
        """
        CREATE FUNCTION labeling.queue_image_for_embedding() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO labeling.embedding_queue (sha256) VALUES (NEW.sha256);
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER images_fetched_embedding AFTER UPDATE OF sha256 ON labeling.images
        FOR EACH ROW WHEN (NEW.sha256 IS NOT NULL AND NEW.sha256 IS DISTINCT FROM OLD.sha256)
        EXECUTE FUNCTION labeling.queue_image_for_embedding()
        """
    )
