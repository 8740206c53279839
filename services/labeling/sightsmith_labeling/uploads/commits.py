"""Commits: the rows of images that come at the same time, in whatever upload to a dataset, share a transaction."""

import asyncio
from asyncio import Future
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database
from sightsmith.errors import UnavailableError
from sightsmith_labeling import changes
from sightsmith_labeling.datasets import DatasetKey
from sightsmith_labeling.joining import Joined, NewImage, join_within
from sightsmith_labeling.quotas import Quotas

# Rows in one transaction at most: enough that its cost is shared, few enough that answers come steadily.
_ROWS_TOGETHER = 128
# How long the first row waits for others at most, and how long while none is on its way. Whoever sends one image and
# waits for its answer notices nothing, and an upload of many needs a tenth of the transactions.
_WAIT_SECONDS = 0.5
_QUIET_SECONDS = 0.02


@dataclass(frozen=True)
class _Offer:
    """An image that is to join, on behalf of the caller whose context it is."""

    image: NewImage
    joined: "Future[Joined]"
    context: Context


class Commits:
    """Lets images join their datasets, many in one transaction."""

    def __init__(self, database: Database, quotas: Quotas) -> None:
        self._database = database
        self._quotas = quotas
        self._waiting: dict[DatasetKey, list[_Offer]] = defaultdict(list)
        self._transactions: set[asyncio.Task[None]] = set()
        self._heard = 0.0
        self._examined = 0

    def hear(self) -> None:
        """Takes note that something of an upload has arrived: more images are on their way."""
        self._heard = asyncio.get_running_loop().time()

    @contextmanager
    def examining(self) -> Iterator[None]:
        """While an image is looked into, it is on its way, too: a busy machine is not a quiet one."""
        self._examined += 1
        try:
            yield
        finally:
            self._examined -= 1
            self.hear()

    async def join(self, dataset: DatasetKey, image: NewImage, context: Context) -> Joined:
        """Lets an image join a dataset, together with others.

        Args:
            dataset: where it goes.
            image: whose bytes are stored.
            context: of the upload, one for all its images: the audit trail takes from it who uploads.

        Returns:
            What became of it, when that is committed.

        Raises:
            NotFoundError: if the dataset was deleted meanwhile.
            ResourceExhaustedError: if the dataset would have too many images, or the project too many labels.
            AbortedError: if the same image was added and deleted again and again meanwhile.
            UnavailableError: if the database cannot be reached.
        """
        loop = asyncio.get_running_loop()
        joined: Future[Joined] = loop.create_future()
        waiting = self._waiting[dataset]
        waiting.append(_Offer(image, joined, context))
        if len(waiting) == 1:
            self._begin_when_quiet(dataset, waiting, loop.time() + _WAIT_SECONDS)
        elif len(waiting) == _ROWS_TOGETHER:
            self._begin(dataset, waiting)
        return await joined

    def _begin_when_quiet(self, dataset: DatasetKey, offers: list[_Offer], latest: float) -> None:
        loop = asyncio.get_running_loop()
        is_quiet = not self._examined and loop.time() >= self._heard + _QUIET_SECONDS
        if is_quiet or loop.time() >= latest:
            self._begin(dataset, offers)
        elif self._waiting.get(dataset) is offers:
            loop.call_later(_QUIET_SECONDS, self._begin_when_quiet, dataset, offers, latest)

    def _begin(self, dataset: DatasetKey, offers: list[_Offer]) -> None:
        """Begins the transaction of rows that have waited together, unless they were enough before their time."""
        if self._waiting.get(dataset) is offers:
            del self._waiting[dataset]
            transaction = asyncio.create_task(self._commit(dataset, offers))
            # The loop itself keeps only a weak reference.
            self._transactions.add(transaction)
            transaction.add_done_callback(self._transactions.discard)

    async def _commit(self, dataset: DatasetKey, offers: list[_Offer]) -> None:
        # Nobody waits any more for the images of an upload that broke off.
        wanted = [offer for offer in offers if not offer.joined.done()]
        try:
            async with self._database.transaction() as session:
                outcomes = await join_within(session, dataset, [offer.image for offer in wanted], self._quotas)
                _record(session, dataset, wanted, outcomes)
        except Exception as error:
            uploads = _by_upload(wanted)
            if len(uploads) > 1 and not isinstance(error, UnavailableError):
                # One upload's failure ends no other one.
                for upload in uploads:
                    await self._commit(dataset, upload)
                return
            for offer in wanted:
                if not offer.joined.done():
                    offer.joined.set_exception(error)
            return
        for offer, outcome in zip(wanted, outcomes, strict=True):
            if not offer.joined.done():
                offer.joined.set_result(outcome)


def _by_upload(offers: Sequence[_Offer]) -> Sequence[list[_Offer]]:
    found: dict[int, list[_Offer]] = defaultdict(list)
    for offer in offers:
        found[id(offer.context)].append(offer)
    return [*found.values()]


def _record(session: AsyncSession, dataset: DatasetKey, offers: Sequence[_Offer], outcomes: Sequence[Joined]) -> None:
    """Adds an entry for each upload to the audit trail."""
    contexts = {id(offer.context): offer.context for offer in offers}
    created: dict[int, list[str]] = defaultdict(list)
    for offer, outcome in zip(offers, outcomes, strict=True):
        if outcome.is_new:
            created[id(offer.context)].append(outcome.image.name.image)
    for key, images in created.items():
        project = dataset.name.project
        contexts[key].run(changes.record_images, session, project, dataset.name, "images.upload", images)
