"""Suggestions, and the review queue."""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Creates everything."""
