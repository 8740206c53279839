"""The table of suggestions."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from sightsmith.database import utc_now
from sightsmith_labeling.tables import Base, ImageRow, Key, OrderedText, ProjectRow


class SuggestionRow(Base):
    """A label that a model proposes for an image. Boxes are left, top, width and height in pixels."""

    __tablename__ = "suggestions"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'accepted', 'corrected', 'rejected')", name="state"),
        Index(None, "project", "image", "key"),
        Index(None, "project", "confidence", "key"),
        Index(None, "image", "model"),
    )

    key: Mapped[Key]
    project: Mapped[OrderedText] = mapped_column(ForeignKey(ProjectRow.id, ondelete="CASCADE"))
    image: Mapped[int] = mapped_column(ForeignKey(ImageRow.sequence, ondelete="CASCADE"))
    # By name: a label that nobody has accepted yet is none of the project's.
    label: Mapped[OrderedText]
    box: Mapped[list[float] | None]
    confidence: Mapped[float]
    model: Mapped[OrderedText]
    state: Mapped[str] = mapped_column(default="pending")
    corrected_label: Mapped[str | None]
    corrected_box: Mapped[list[float] | None]
    decider: Mapped[str] = mapped_column(default="")
    decide_time: Mapped[datetime | None]
    create_time: Mapped[datetime] = mapped_column(default=utc_now)
