"""The tables of the review queue."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from sightsmith.database import utc_now
from sightsmith.events.tables import HandledEventColumns
from sightsmith_labeling.tables import Base, Key, OrderedText, ProjectRow

_OPEN = text("state IN ('pending', 'in_review', 'disputed')")


class ReviewPolicyRow(Base):
    """How a project reviews; projects without a row do it as the settings say."""

    __tablename__ = "review_policies"
    __table_args__ = (CheckConstraint("required_reviews > 0", name="required_reviews"),)

    project: Mapped[OrderedText] = mapped_column(ForeignKey(ProjectRow.id, ondelete="CASCADE"), primary_key=True)
    required_reviews: Mapped[int]


class ReviewItemRow(Base):
    """A prediction that people look at."""

    __tablename__ = "review_items"
    __table_args__ = (
        UniqueConstraint("project", "prediction_id"),
        CheckConstraint(
            "reason IN ('random', 'low_confidence', 'near_threshold', 'disagreement', 'drift', 'requested')",
            name="reason",
        ),
        CheckConstraint("weight >= 0", name="weight"),
        CheckConstraint("state IN ('pending', 'in_review', 'accepted', 'rejected', 'disputed')", name="state"),
        Index(None, "project", "key"),
        Index("ix_review_items_sha256", "sha256"),
        # A client that asks about one image again and again fills no queue with it.
        Index("uq_review_items_open", "project", "sha256", "model", unique=True, postgresql_where=_OPEN),
        Index("ix_review_items_open", "project", "key", postgresql_where=_OPEN),
        Index("ix_review_items_undecided", "create_time", postgresql_where=_OPEN),
        Index("ix_review_items_expire_time", "expire_time"),
        Index("ix_review_items_deployment", "project", "deployment", "key"),
    )

    key: Mapped[Key]
    project: Mapped[OrderedText] = mapped_column(ForeignKey(ProjectRow.id, ondelete="CASCADE"))
    sha256: Mapped[OrderedText]
    # In the object store; of a sample, a file of its own.
    image_key: Mapped[str]
    prediction_id: Mapped[OrderedText]
    deployment: Mapped[OrderedText]
    model: Mapped[OrderedText]
    # `label`, `confidence`, `box` where there is one, and `answered` where the model did so.
    predictions: Mapped[list[dict[str, Any]]]
    reason: Mapped[str]
    state: Mapped[str] = mapped_column(default="pending")
    # For how many predictions it stands; 0 if that is not known.
    weight: Mapped[float] = mapped_column(server_default="0", default=0.0)
    # When it goes, whatever its state; null for when nobody settles it.
    expire_time: Mapped[datetime | None]
    # What people saw in the image, once it is settled: labels without boxes, each once.
    true_labels: Mapped[list[str] | None]
    # The name of the image that it became.
    image: Mapped[str | None]
    decider: Mapped[str] = mapped_column(default="")
    decide_time: Mapped[datetime | None]
    create_time: Mapped[datetime] = mapped_column(default=utc_now)


class ReviewRow(Base):
    """What a person says of an item or, before `submit_time`, that it is kept for the person.

    Whoever writes one has locked its item.
    """

    __tablename__ = "reviews"
    __table_args__ = (
        CheckConstraint("verdict IN ('labelled', 'none', 'skipped')", name="verdict"),
        CheckConstraint("(verdict IS NULL) = (submit_time IS NULL)", name="submitted"),
        Index(None, "reviewer"),
    )

    item: Mapped[int] = mapped_column(ForeignKey(ReviewItemRow.key, ondelete="CASCADE"), primary_key=True)
    reviewer: Mapped[OrderedText] = mapped_column(primary_key=True)
    assign_time: Mapped[datetime] = mapped_column(default=utc_now)
    # Until when the item is kept for the person; null for no limit, and once the review is there.
    expire_time: Mapped[datetime | None]
    submit_time: Mapped[datetime | None]
    verdict: Mapped[str | None]
    # `label`, and `box` where there is one.
    labels: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    comment: Mapped[str] = mapped_column(default="")


class HandledEventRow(HandledEventColumns, Base):
    """Events that labeling has handled."""
