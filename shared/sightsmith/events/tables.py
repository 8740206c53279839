"""The two tables that every service has for events; mixed into its own declarative base."""

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, Identity, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from sightsmith.database import utc_now


class OutboxColumns:
    """Events that are to be published, in the order in which they were written."""

    __tablename__ = "outbox"

    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    event_id: Mapped[uuid.UUID]
    subject: Mapped[str]
    payload: Mapped[bytes] = mapped_column(LargeBinary)
    # Whoever publishes holds a token until a time; finishing counts only with the same token.
    claim_token: Mapped[uuid.UUID | None]
    claim_expire_time: Mapped[datetime | None]


class HandledEventColumns:
    """Events that a consumer has handled, so that a second delivery changes nothing."""

    __tablename__ = "handled_events"

    consumer: Mapped[str] = mapped_column(primary_key=True)
    event_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    handle_time: Mapped[datetime] = mapped_column(default=utc_now)
