"""Fetching the bytes of images that were imported by reference, in the background."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import obstore
from obstore.exceptions import BaseError
from prometheus_client import Counter
from sqlalchemy import ColumnElement, Row, func, or_, select, text, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database, utc_now
from sightsmith.errors import UnavailableError
from sightsmith.images import ImageError
from sightsmith.logs import get_logger
from sightsmith.places import AllowedPlaces, Place, store_of
from sightsmith_labeling.images import ImageState, Problem
from sightsmith_labeling.imports.incoming import Size, StoredBytes, size_note
from sightsmith_labeling.imports.object_tree import NO_PERMISSION
from sightsmith_labeling.intake import Intake
from sightsmith_labeling.tables import ImageRow

_IDLE_SECONDS = 1.0
_PAUSE_SECONDS = 5.0
# Images that are written by one transaction, for each that is fetched at the same time.
_BATCH = 8

_UPDATE = text(
    """
    UPDATE labeling.images SET
        state = new.state, sha256 = new.sha256, size_bytes = new.size_bytes, media_type = new.media_type,
        width = coalesce(new.width, images.width), height = coalesce(new.height, images.height),
        signals = new.signals, problems = images.problems || new.problems, revision = revision + 1, update_time = :now
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS new (
        sequence bigint, state text, sha256 text, size_bytes bigint, media_type text, width bigint, height bigint,
        signals jsonb, problems jsonb)
    WHERE images.sequence = new.sequence AND images.state = 'pending'
    """
)

_fetched_images = Counter(
    "sightsmith_labeling_fetched_images_total", "Images fetched by reference, by outcome.", ["outcome"]
)
_log = get_logger(__name__)


@dataclass(frozen=True)
class FetchLimits:
    """What a fetch may use.

    Attributes:
        at_once: images fetched beside each other.
        seconds: how long one may take.
        image_bytes: largest image.
    """

    at_once: int
    seconds: float
    image_bytes: int


@dataclass(frozen=True)
class _Fetched:
    """What became of an image.

    Attributes:
        made_for: size of the image that its boxes were made for; twice None if it has none.
    """

    sequence: int
    dataset: int
    made_for: Size
    outcome: StoredBytes | Problem

    def columns(self) -> dict[str, Any]:
        if isinstance(self.outcome, Problem):
            return {"sequence": self.sequence, "state": ImageState.FAILED.value, "problems": [vars(self.outcome)]}
        note = size_note(self.made_for, (self.outcome.width, self.outcome.height))
        problems = [vars(note)] if note else []
        return {"sequence": self.sequence, "state": ImageState.READY.value, "problems": problems, **vars(self.outcome)}


class Fetcher:
    """Fetches images that wait for their bytes, the oldest first. Any number of workers may do so beside each other."""

    def __init__(self, database: Database, intake: Intake, places: AllowedPlaces, limits: FetchLimits) -> None:
        self._database = database
        self._intake = intake
        self._places = places
        self._limits = limits

    async def run(self) -> None:
        """Fetches until cancelled."""
        while self._places.stores:
            try:
                if not await self._fetch_some():
                    await asyncio.sleep(_IDLE_SECONDS)
            except (UnavailableError, IntegrityError):
                # The latter if somebody else has just added the same image, which the next look will tell.
                _log.warning("cannot fetch images now", exc_info=True)
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _fetch_some(self) -> int:
        """Fetches the images that have waited longest; returns how many.

        Advisory locks keep other workers off them. Their rows are not locked: people may edit them meanwhile.
        """
        count = _BATCH * self._limits.at_once
        waiting = (
            select(
                ImageRow.sequence,
                ImageRow.dataset,
                ImageRow.source,
                ImageRow.width,
                ImageRow.height,
                ImageRow.annotations.path_exists("$[*].box").label("has_boxes"),
            )
            .where(ImageRow.state == ImageState.PENDING.value, self._may_be_allowed())
            .order_by(ImageRow.sequence)
            # Twice as many: others may be in the hands of other workers.
            .limit(2 * count)
            .subquery()
        )
        mine = select(waiting).where(func.pg_try_advisory_xact_lock(waiting.c.sequence)).limit(count)
        turn = asyncio.Semaphore(self._limits.at_once)
        async with self._database.transaction() as session:
            rows = (await session.execute(mine)).all()
            outcomes = await asyncio.gather(*(self._fetch(row.source, turn) for row in rows))
            fetched = [
                _Fetched(row.sequence, row.dataset, _made_for(row), outcome)
                for row, outcome in zip(rows, outcomes, strict=True)
            ]
            await _write(session, await _without_twins(session, fetched))
        return len(rows)

    def _may_be_allowed(self) -> ColumnElement[bool]:
        """What is in no allowed store stays as it is, until the operator allows it; the rest is looked at closely."""
        return or_(*(ImageRow.source.startswith(store, autoescape=True) for store in self._places.stores))

    async def _fetch(self, source: str, turn: asyncio.Semaphore) -> StoredBytes | Problem:
        try:
            async with turn, asyncio.timeout(self._limits.seconds):
                data = await self._read(self._places.find(source))
                return StoredBytes.of(await self._intake.keep(source, data))
        except ImageError as error:
            return Problem("ERROR_INVALID_IMAGE", str(error))
        except TimeoutError:
            return Problem("ERROR_IMAGE_NOT_FETCHED", f"took longer than {self._limits.seconds:g} s")
        except FileNotFoundError:
            return Problem("ERROR_IMAGE_NOT_FOUND", f"{source} does not exist")
        except ValueError as error:
            return Problem("ERROR_IMAGE_SOURCE_NOT_ALLOWED", str(error))
        except NO_PERMISSION:
            return Problem("ERROR_INVALID_PERMISSIONS_IMAGES_S3_BUCKET", f"this server may not read {source}")
        except (BaseError, OSError) as error:
            return Problem("ERROR_IMAGE_NOT_FETCHED", f"{source} cannot be read: {type(error).__name__}")

    async def _read(self, place: Place) -> bytes:
        """The bytes of an image, cut off after the largest size that is taken."""
        found = await obstore.get_async(store_of(place.scheme, place.bucket), place.key)
        parts: list[bytes] = []
        size = 0
        async for part in found.stream():
            parts.append(bytes(part))
            size += len(part)
            if size > self._limits.image_bytes:
                break
        return b"".join(parts)


def _made_for(row: Row[Any]) -> Size:
    return (row.width, row.height) if row.has_boxes else (None, None)


async def _without_twins(session: AsyncSession, fetched: Sequence[_Fetched]) -> Sequence[_Fetched]:
    """The outcomes, where an image that its dataset has already, or gets now, is a problem."""
    brought = {(one.dataset, one.outcome.sha256) for one in fetched if isinstance(one.outcome, StoredBytes)}
    wanted = select(ImageRow.dataset, ImageRow.sha256).where(
        tuple_(ImageRow.dataset, ImageRow.sha256).in_(sorted(brought))
    )
    there = {(dataset, sha256) for dataset, sha256 in await session.execute(wanted)} if brought else set()
    return [_unless_twin(one, there) for one in fetched]


def _unless_twin(one: _Fetched, there: set[tuple[int, str | None]]) -> _Fetched:
    if isinstance(one.outcome, Problem):
        return one
    key = (one.dataset, one.outcome.sha256)
    if key in there:
        message = f"the dataset has the same image already, SHA-256 {one.outcome.sha256}"
        return replace(one, outcome=Problem("DUPLICATE_IMAGE", message))
    there.add(key)
    return one


async def _write(session: AsyncSession, fetched: Sequence[_Fetched]) -> None:
    """Writes all outcomes by one statement, which the tallies count at once."""
    for one in fetched:
        _fetched_images.labels("failed" if isinstance(one.outcome, Problem) else "ready").inc()
    if fetched:
        rows = json.dumps([one.columns() for one in fetched])
        await session.execute(_UPDATE, {"rows": rows, "now": utc_now()})
