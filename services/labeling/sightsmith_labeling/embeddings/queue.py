"""Images that wait for their embeddings."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, insert, literal, or_, select, union, update
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database
from sightsmith_labeling.embeddings.tables import EmbeddingQueueRow, EmbeddingRow
from sightsmith_labeling.tables import ImageRow

_CLAIM = timedelta(seconds=120)
_FIRST_PAUSE = timedelta(seconds=0.5)
_LONGEST_PAUSE = timedelta(hours=1)


@dataclass(frozen=True)
class Claimed:
    """Images that one worker has to itself for a while, and their places in the queue.

    Attributes:
        keys: of the places.
        attempts: how often each image was handed out, this time included, by its SHA-256.
    """

    keys: Sequence[int]
    attempts: Mapping[str, int]

    @property
    def sha256s(self) -> Sequence[str]:
        """The images, each once, ordered."""
        return sorted(self.attempts)


class EmbeddingQueue:
    """The queue. Triggers on `images` fill it, so that it misses nothing, whatever code brings images in."""

    def __init__(self, database: Database, quiet_seconds: float, patience_seconds: float) -> None:
        """Opens the queue.

        Args:
            database: where it is.
            quiet_seconds: for how long nothing must have come before anything is handed out, so that whoever brings
                many images has the machine to itself.
            patience_seconds: how long the first one waits at most.
        """
        self._database = database
        self._quiet = timedelta(seconds=quiet_seconds)
        self._patience = timedelta(seconds=patience_seconds)

    async def claim(self, limit: int) -> Claimed:
        """Takes images, if it is their time: half of them those that have waited longest, half those that came last.

        So a few images need not wait for many that came before them, and none is passed over for ever.

        Args:
            limit: how many at most; if it is one, that is the oldest.
        """
        row = EmbeddingQueueRow
        # The database's clock: workers on several hosts need not agree on the time.
        now = func.clock_timestamp()
        free = or_(row.claim_expire_time.is_(None), row.claim_expire_time < now)
        some = select(row.key).where(free).with_for_update(skip_locked=True)
        oldest = some.order_by(row.key).limit(limit - limit // 2).cte("oldest")
        newest = some.order_by(row.key.desc()).limit(limit // 2).cte("newest")
        last = select(row.queue_time).order_by(row.key.desc()).limit(1).scalar_subquery()
        # Those that are worked on, or pause after a failure, are not waiting.
        first = select(row.queue_time).where(free).order_by(row.key).limit(1).scalar_subquery()
        is_time = select(or_(last < now - self._quiet, first < now - self._patience))
        claim = (
            update(row)
            .where(row.key.in_(union(select(oldest.c.key), select(newest.c.key))))
            .values(claim_expire_time=now + _CLAIM, attempts=row.attempts + 1)
            .returning(row.key, row.sha256, row.attempts)
            .execution_options(synchronize_session=False)
        )
        async with self._database.transaction() as session:
            if not await session.scalar(is_time):
                return Claimed((), {})
            claimed = (await session.execute(claim)).tuples().all()
        attempts: dict[str, int] = {}
        for _, sha256, count in claimed:
            attempts[sha256] = max(count, attempts.get(sha256, 0))
        return Claimed([key for key, _, _ in claimed], attempts)

    async def give_back(self, claimed: Claimed) -> None:
        """Lets the images be claimed again at once, as if they had never been handed out."""
        row = EmbeddingQueueRow
        given_back = update(row).where(row.key.in_(claimed.keys))
        async with self._database.transaction() as session:
            await session.execute(given_back.values(claim_expire_time=None, attempts=row.attempts - 1))

    async def finish(self, session: AsyncSession, claimed: Claimed, unfinished: Collection[str] = ()) -> None:
        """Takes images off the queue, in the transaction that keeps their embeddings.

        Args:
            session: the transaction.
            claimed: the images.
            unfinished: those that stay. Each waits twice as long as the last time, so that it stands in nobody's way.
        """
        row = EmbeddingQueueRow
        is_unfinished = row.sha256.in_(unfinished)
        await session.execute(delete(row).where(row.key.in_(claimed.keys), ~is_unfinished))
        if unfinished:
            # The exponent is bounded as well: 2 to the power of many attempts is no interval any more.
            pause = func.least(func.power(2, func.least(row.attempts, 20)) * _FIRST_PAUSE, _LONGEST_PAUSE)
            waiting = update(row).where(row.key.in_(claimed.keys), is_unfinished)
            await session.execute(waiting.values(claim_expire_time=func.clock_timestamp() + pause))

    async def refill(self, backbones: Collection[str]) -> None:
        """Adds the images that lack the embedding of a backbone and are not waiting: as after a change of backbones."""
        waiting = select(EmbeddingQueueRow.sha256)
        async with self._database.transaction() as session:
            for backbone in backbones:
                embedded = select(EmbeddingRow.sha256).where(
                    EmbeddingRow.sha256 == ImageRow.sha256, EmbeddingRow.backbone == literal(backbone)
                )
                missing = (
                    select(ImageRow.sha256)
                    .where(ImageRow.sha256.is_not(None), ~embedded.exists(), ImageRow.sha256.not_in(waiting))
                    .distinct()
                )
                await session.execute(insert(EmbeddingQueueRow).from_select(["sha256"], missing))
