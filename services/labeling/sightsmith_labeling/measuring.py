"""Measuring images that came before anything was measured: their signals and their thumbnails are made later."""

import asyncio

from sqlalchemy import ColumnElement, func, select, update

from sightsmith.database import Database
from sightsmith.errors import UnavailableError
from sightsmith.images import ImageError
from sightsmith.logs import get_logger
from sightsmith.objects import Objects, image_key
from sightsmith_labeling.intake import Intake
from sightsmith_labeling.kept_image import KeptImage
from sightsmith_labeling.tables import ImageRow

_log = get_logger(__name__)

# Nobody waits for it, so it leaves the machine to others most of the time.
_IMAGES_AT_ONCE = 32
_PAUSE_SECONDS = 1.0
_IDLE_SECONDS = 30.0


class Measuring:
    """Completes the rows of ready images that have no signals."""

    def __init__(self, database: Database, objects: Objects, intake: Intake) -> None:
        self._database = database
        self._objects = objects
        self._intake = intake

    async def run(self) -> None:
        """Measures until cancelled."""
        while True:
            try:
                measured = await self.measure_some()
            except UnavailableError:
                _log.warning("cannot measure images now", exc_info=True)
                measured = 0
            await asyncio.sleep(_PAUSE_SECONDS if measured else _IDLE_SECONDS)

    async def measure_some(self) -> int:
        """Measures a few images, and returns how many; 0 if none is left.

        Raises:
            UnavailableError: if the database or the object store cannot be reached.
        """
        # An image that could not be measured has a problem, and is not tried again.
        unmeasured = select(ImageRow.sha256).where(
            ImageRow.signals.is_(None), ImageRow.state == "ready", ~ImageRow.has_errors
        )
        async with self._database.transaction() as session:
            found = set(await session.scalars(unmeasured.order_by(ImageRow.sequence).limit(_IMAGES_AT_ONCE)))
        sha256s = [sha256 for sha256 in found if sha256 is not None]
        for sha256 in sha256s:
            await self._measure(sha256)
        return len(sha256s)

    async def _measure(self, sha256: str) -> None:
        try:
            kept = await self._intake.keep("", await self._objects.get(image_key(sha256)))
        except FileNotFoundError:
            await self._report(sha256, "the bytes of the image are gone")
        except ImageError as error:
            await self._report(sha256, str(error))
        else:
            await self._complete(sha256, kept)

    async def _complete(self, sha256: str, kept: KeptImage) -> None:
        values = {
            "signals": vars(kept.signals),
            "width": func.coalesce(ImageRow.width, kept.info.width),
            "height": func.coalesce(ImageRow.height, kept.info.height),
            "size_bytes": func.coalesce(ImageRow.size_bytes, kept.size_bytes),
            "media_type": func.coalesce(ImageRow.media_type, kept.info.media_type),
        }
        async with self._database.transaction() as session:
            await session.execute(update(ImageRow).where(*_rows_of(sha256)).values(values))

    async def _report(self, sha256: str, message: str) -> None:
        problem = {"code": "ERROR_INVALID_IMAGE", "message": message}
        async with self._database.transaction() as session:
            await session.execute(
                update(ImageRow)
                .where(*_rows_of(sha256))
                .values(problems=ImageRow.problems.op("||")([problem]), revision=ImageRow.revision + 1)
            )


def _rows_of(sha256: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return ImageRow.sha256 == sha256, ImageRow.signals.is_(None)
