"""Files that clients send to be imported: kept in the object store until they are old."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePosixPath

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError

from sightsmith.database import Database
from sightsmith.errors import InvalidArgumentError, NotFoundError, ResourceExhaustedError, UnavailableError
from sightsmith.logs import get_logger
from sightsmith.names import ProjectName, UploadedFileName
from sightsmith.objects import Objects
from sightsmith_labeling.jobs.tables import UploadedFileRow
from sightsmith_labeling.projects import require_project
from sightsmith_labeling.settings import LabelingSettings

_MAX_FILE_NAME = 255
_SWEEP_SECONDS = 300.0
_SWEPT_AT_ONCE = 100
_log = get_logger(__name__)


@dataclass(frozen=True)
class UploadedFile:
    """A file that a client sent.

    Attributes:
        file_name: what the client calls it; never used as a path.
        key: of the bytes in the object store.
    """

    name: UploadedFileName
    file_name: str
    key: str
    sha256: str
    size_bytes: int
    create_time: datetime
    expire_time: datetime


@dataclass(frozen=True)
class FileHeader:
    """What a client says before it sends a file.

    Attributes:
        sha256: that the bytes must have, in lower-case hexadecimal digits; empty if it did not say.
    """

    project: ProjectName
    file_name: str
    sha256: str

    @classmethod
    def checked(cls, project: ProjectName, file_name: str, sha256: str) -> "FileHeader":
        """A header whose values can be kept.

        Raises:
            InvalidArgumentError: naming the field that is wrong.
        """
        name = PurePosixPath(file_name.replace("\\", "/")).name
        if not 0 < len(name) <= _MAX_FILE_NAME or not name.isprintable():
            rule = f"must be 1 to {_MAX_FILE_NAME} printable characters"
            raise InvalidArgumentError.of_field("header.file_name", rule)
        if sha256 and not (len(sha256) == 64 and set(sha256.lower()) <= set("0123456789abcdef")):
            raise InvalidArgumentError.of_field("header.sha256", "must be 64 hexadecimal digits")
        return cls(project, name, sha256.lower())


class UploadedFiles:
    """The files of all projects."""

    def __init__(self, database: Database, objects: Objects, max_bytes: int, days: float) -> None:
        self._database = database
        self._objects = objects
        self._max_bytes = max_bytes
        self._lifetime = timedelta(days=days)

    async def receive(self, header: FileHeader, chunks: AsyncIterator[bytes]) -> UploadedFile:
        """Stores a file as it comes.

        Raises:
            NotFoundError: if the project does not exist.
            InvalidArgumentError: if the bytes are not those that the header told of, or there are none.
            ResourceExhaustedError: if the file is larger than the limit.
        """
        async with self._database.transaction() as session:
            await require_project(session, header.project)
        file_id = f"f-{secrets.token_hex(8)}"
        key = f"uploads/{header.project.project}/{file_id}"
        measured = _Measured(chunks, self._max_bytes)
        await self._objects.put_stream(key, measured.chunks())
        try:
            measured.check(header)
            return await self._insert(header, file_id, key, measured)
        except BaseException:
            with suppress(UnavailableError):
                await asyncio.shield(self._objects.delete(key))
            raise

    async def get(self, name: UploadedFileName) -> UploadedFile:
        """Finds a file.

        Raises:
            NotFoundError: if it does not exist, or not any more.
        """
        wanted = select(UploadedFileRow).where(
            UploadedFileRow.project == name.project, UploadedFileRow.id == name.uploaded_file
        )
        async with self._database.transaction() as session:
            row = await session.scalar(wanted)
        if row is None:
            raise NotFoundError(str(name))
        return self._to_file(row)

    async def run(self) -> None:
        """Deletes files that are old, again and again, until cancelled."""
        await sweep_for_ever(self._sweep)

    async def _sweep(self) -> int:
        """Deletes some files that are old; first the bytes, so that none are left without a row."""
        old = (
            select(UploadedFileRow)
            .where(UploadedFileRow.create_time < func.now() - self._lifetime)
            .order_by(UploadedFileRow.sequence)
            .limit(_SWEPT_AT_ONCE)
        )
        async with self._database.transaction() as session:
            rows = (await session.scalars(old)).all()
        for row in rows:
            await self._objects.delete(row.key)
        async with self._database.transaction() as session:
            await session.execute(
                delete(UploadedFileRow).where(UploadedFileRow.sequence.in_([row.sequence for row in rows]))
            )
        return len(rows)

    async def _insert(self, header: FileHeader, file_id: str, key: str, measured: "_Measured") -> UploadedFile:
        row = UploadedFileRow(
            project=header.project.project,
            id=file_id,
            file_name=header.file_name,
            key=key,
            sha256=measured.sha256,
            size_bytes=measured.size_bytes,
        )
        try:
            async with self._database.transaction() as session:
                session.add(row)
        except IntegrityError as error:
            raise NotFoundError(str(header.project)) from error
        return self._to_file(row)

    def _to_file(self, row: UploadedFileRow) -> UploadedFile:
        return UploadedFile(
            name=UploadedFileName(row.project, row.id),
            file_name=row.file_name,
            key=row.key,
            sha256=row.sha256,
            size_bytes=row.size_bytes,
            create_time=row.create_time,
            expire_time=row.create_time + self._lifetime,
        )


class _Measured:
    """Chunks that are counted and hashed as they pass."""

    def __init__(self, chunks: AsyncIterator[bytes], max_bytes: int) -> None:
        self._chunks = chunks
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        """The chunks.

        Raises:
            ResourceExhaustedError: if there are more bytes than may be.
        """
        async for chunk in self._chunks:
            self.size_bytes += len(chunk)
            if self.size_bytes > self._max_bytes:
                message = f"the file has more than {self._max_bytes} bytes"
                raise ResourceExhaustedError(message, metadata={"limit": str(self._max_bytes)})
            self._hash.update(chunk)
            yield chunk

    @property
    def sha256(self) -> str:
        """Of all bytes, in lower-case hexadecimal digits."""
        return self._hash.hexdigest()

    def check(self, header: FileHeader) -> None:
        """Compares with what the header told of.

        Raises:
            InvalidArgumentError: if it is something else.
        """
        if not self.size_bytes:
            raise InvalidArgumentError.of_field("chunk", "the file is empty")
        if header.sha256 and header.sha256 != self.sha256:
            rule = f"the bytes that came have the SHA-256 {self.sha256}: the file was damaged on its way"
            raise InvalidArgumentError.of_field("header.sha256", rule)


async def sweep_for_ever(sweep: Callable[[], Awaitable[int]]) -> None:
    """Deletes what is old, until cancelled.

    Args:
        sweep: deletes some of it and returns how much; 0 if nothing is left.
    """
    while True:
        try:
            if deleted := await sweep():
                _log.info("deleted what is old", count=deleted)
                continue
        except UnavailableError:
            _log.warning("cannot delete what is old now", exc_info=True)
        await asyncio.sleep(_SWEEP_SECONDS)


def uploaded_files(settings: LabelingSettings, database: Database, objects: Objects) -> UploadedFiles:
    """The files of all projects, under the limits that the settings give."""
    return UploadedFiles(database, objects, settings.max_uploaded_file_bytes, settings.uploaded_file_days)
