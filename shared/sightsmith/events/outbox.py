"""The transactional outbox: an event is a row written with the change it tells of; a relay publishes it afterwards.

After the pattern of that name (Chris Richardson, microservices.io). A row is deleted only when JetStream has
acknowledged it; a crash in between publishes it again under the same `Nats-Msg-Id`, which JetStream drops within its
window and consumers drop for good.
"""

import asyncio
import uuid
from datetime import timedelta

from google.protobuf.message import Message
from nats.errors import Error as NatsError
from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database
from sightsmith.errors import UnavailableError
from sightsmith.events.bus import EventBus
from sightsmith.events.facts import event_of, subject_of
from sightsmith.events.tables import OutboxColumns
from sightsmith.logs import get_logger

_BATCH = 100
_CLAIM = timedelta(seconds=30)
_POLL_SECONDS = 0.5
_log = get_logger(__name__)


def tell(session: AsyncSession, table: type[OutboxColumns], fact: Message) -> None:
    """Writes a fact into the outbox, to be published if and only if the session's transaction commits."""
    event = event_of(fact)
    row = table()
    row.event_id = uuid.UUID(event.id)
    row.subject = subject_of(event)
    row.payload = event.SerializeToString()
    session.add(row)


class OutboxRelay:
    """Publishes what stands in a service's outbox. Any number of them may run beside each other."""

    def __init__(self, database: Database, table: type[OutboxColumns], bus: EventBus) -> None:
        self._database = database
        self._table = table
        self._bus = bus

    async def run(self) -> None:
        """Publishes until cancelled."""
        while True:
            try:
                published = await self._publish_batch()
            except (TimeoutError, UnavailableError, NatsError, OSError) as error:
                _log.warning("events wait in the outbox", error=str(error) or type(error).__name__)
                published = 0
            if published < _BATCH:
                await asyncio.sleep(_POLL_SECONDS)

    async def _publish_batch(self) -> int:
        jetstream = await self._bus.jetstream()
        token = uuid.uuid4()
        rows = await self._claim(token)
        for row in rows:
            # A duplicate answer means that an earlier try had arrived: as good as published.
            await jetstream.publish(row.subject, row.payload, headers={"Nats-Msg-Id": str(row.event_id)})
            await self._finish(row.sequence, token)
        return len(rows)

    async def _claim(self, token: uuid.UUID) -> list[OutboxColumns]:
        table = self._table
        # The database's clock: the hosts of several relays need not agree on the time.
        now = func.clock_timestamp()
        free = or_(table.claim_expire_time.is_(None), table.claim_expire_time < now)
        oldest = select(table.sequence).where(free).order_by(table.sequence).limit(_BATCH)
        claim = (
            update(table)
            .where(table.sequence.in_(oldest.with_for_update(skip_locked=True)))
            .values(claim_token=token, claim_expire_time=now + _CLAIM)
            .returning(table)
        )
        async with self._database.transaction() as session:
            rows = (await session.scalars(claim)).all()
        return sorted(rows, key=lambda row: row.sequence)

    async def _finish(self, sequence: int, token: uuid.UUID) -> None:
        table = self._table
        async with self._database.transaction() as session:
            await session.execute(delete(table).where(table.sequence == sequence, table.claim_token == token))
