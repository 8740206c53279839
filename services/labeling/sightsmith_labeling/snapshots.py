"""Snapshots: what is labelled in a project, fixed at one moment."""

import asyncio
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from sightsmith.api.events.v1.event_pb2 import SnapshotCreated
from sightsmith.database import Database
from sightsmith.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError
from sightsmith.events.outbox import tell
from sightsmith.names import ProjectName, SnapshotName
from sightsmith.objects import Objects
from sightsmith.paging import PageRequest, page_of
from sightsmith_labeling.auto_split import AutoSplit, set_aside
from sightsmith_labeling.constraints import violated_constraint
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.labelled_images import LabelledImages, labelled_images
from sightsmith_labeling.manifest import Entry, Manifest, ManifestWriter, SnapshotLabelCount
from sightsmith_labeling.projects import require_project
from sightsmith_labeling.tables import Outbox, ProjectRow, SnapshotRow

# Anything longer may not fit a PostgreSQL bigint.
_MAX_DIGITS = 18


@dataclass(frozen=True)
class Snapshot:
    """The labelled images of a project as they stood at one moment.

    Attributes:
        label_counts: ordered by label.
        auto_split: the split that was made; None if the project had test images of its own.
        unready_image_count: labelled images that are not in it because their bytes were not there.
    """

    name: SnapshotName
    manifest_sha256: str
    manifest_key: str
    train_image_count: int
    test_image_count: int
    label_counts: Sequence[SnapshotLabelCount]
    auto_split: AutoSplit | None
    unready_image_count: int
    create_time: datetime


@dataclass(frozen=True)
class SnapshotRequest:
    """What is asked for.

    Attributes:
        auto_split: how to set test images aside if the project has none of its own.
        request_id: makes a repeated request return the first one's snapshot.
    """

    project: ProjectName
    auto_split: AutoSplit
    request_id: uuid.UUID | None


class Snapshots:
    """The snapshots in the database, and their manifests in the object store."""

    def __init__(self, database: Database, objects: Objects) -> None:
        self._database = database
        self._objects = objects

    async def create(self, request: SnapshotRequest) -> Snapshot:
        """Takes a snapshot, or returns the one that the same request took before.

        Raises:
            NotFoundError: if the project does not exist.
            FailedPreconditionError: if nothing in it is labelled.
            AlreadyExistsError: if the request id was used with other arguments.
        """
        if (first := await self._taken_by(request)) is not None:
            return first
        with tempfile.TemporaryDirectory(prefix="sightsmith-snapshot-") as folder:
            manifest, is_auto_split = await self._write_manifest(request, Path(folder))
            await self._objects.put_file(manifest.key, manifest.path)
        try:
            return await self._insert(request, manifest, is_auto_split)
        except IntegrityError as error:
            # The same request came twice at the same time, and the other one was first.
            if violated_constraint(error) != "uq_snapshots_project_request_id":
                raise
            first = await self._taken_by(request)
            if first is None:
                raise
            return first

    async def get(self, name: SnapshotName) -> Snapshot:
        """Returns a snapshot.

        Raises:
            NotFoundError: if it does not exist.
        """
        number = _number_of(name)
        async with self._database.transaction() as session:
            row = None if number is None else await session.get(SnapshotRow, (name.project, number))
        if row is None:
            raise NotFoundError(str(name))
        return _to_snapshot(row)

    async def list(self, project: ProjectName, page: PageRequest) -> tuple[Sequence[Snapshot], str]:
        """Returns a page of a project's snapshots, newest first, and the token of the next page.

        Raises:
            NotFoundError: if the project does not exist.
        """
        wanted = select(SnapshotRow).where(SnapshotRow.project == project.project).order_by(SnapshotRow.number.desc())
        if page.after is not None:
            wanted = wanted.where(SnapshotRow.number < page.after_number)
        async with self._database.transaction() as session:
            await require_project(session, project)
            rows = (await session.scalars(wanted.limit(page.size + 1))).all()
        rows, token = page_of(rows, page, key=lambda row: row.number)
        return [_to_snapshot(row) for row in rows], token

    async def _taken_by(self, request: SnapshotRequest) -> Snapshot | None:
        """The snapshot that an earlier request of the same id took."""
        async with self._database.transaction() as session:
            await require_project(session, request.project)
            if request.request_id is None:
                return None
            row = await session.scalar(
                select(SnapshotRow).where(
                    SnapshotRow.project == request.project.project, SnapshotRow.request_id == request.request_id
                )
            )
        if row is None:
            return None
        if _requested_split(row) != request.auto_split:
            raise AlreadyExistsError(
                f"request_id {request.request_id} was used before with another auto_split",
                reason="REQUEST_ID_REUSED",
                metadata={"name": str(_name(row))},
            )
        return _to_snapshot(row)

    async def _write_manifest(self, request: SnapshotRequest, folder: Path) -> tuple[Manifest, bool]:
        """Writes the manifest, and tells whether test images had to be set aside for it."""
        writer = ManifestWriter(folder)
        async with labelled_images(self._database, request.project) as images:
            is_auto_split = not await images.has_test_images()
            aside = await _choose(images, request.auto_split) if is_auto_split else frozenset[str]()
            async for image in images.read():
                split = Split.TEST if image.sha256 in aside else image.split
                writer.add(
                    Entry(
                        image=str(image.name),
                        sha256=image.sha256,
                        split=split,
                        annotations=image.annotations,
                        source=image.source,
                        width=image.width,
                        height=image.height,
                    )
                )
        manifest = await asyncio.to_thread(writer.finish)
        if manifest.train_image_count + manifest.test_image_count == 0:
            raise FailedPreconditionError(
                f"{request.project} has no labelled images to take a snapshot of", reason="NOT_ENOUGH_DATA"
            )
        return manifest, is_auto_split

    async def _insert(self, request: SnapshotRequest, manifest: Manifest, is_auto_split: bool) -> Snapshot:
        # The row of the project is locked until the end: numbers have no gaps and no twins.
        next_number = (
            update(ProjectRow)
            .where(ProjectRow.id == request.project.project)
            .values(last_snapshot_number=ProjectRow.last_snapshot_number + 1)
            .returning(ProjectRow.last_snapshot_number)
        )
        async with self._database.transaction() as session:
            row = SnapshotRow(
                project=request.project.project,
                number=(await session.scalars(next_number)).one(),
                manifest_sha256=manifest.sha256,
                manifest_key=manifest.key,
                train_image_count=manifest.train_image_count,
                test_image_count=manifest.test_image_count,
                label_counts=[vars(count) for count in manifest.label_counts],
                is_auto_split=is_auto_split,
                test_fraction=request.auto_split.test_fraction,
                seed=request.auto_split.seed,
                request_id=request.request_id,
            )
            session.add(row)
            tell(session, Outbox, SnapshotCreated(snapshot=str(_name(row))))
        return _to_snapshot(row)


async def _choose(images: LabelledImages, split: AutoSplit) -> set[str]:
    labels_of: dict[str, tuple[str, ...]] = {}
    # Most images share their labels with many others; each distinct set is kept once.
    distinct: dict[tuple[str, ...], tuple[str, ...]] = {}
    async for image in images.read():
        labels = tuple(sorted({annotation.label for annotation in image.annotations}))
        labels_of[image.sha256] = distinct.setdefault(labels, labels)
    return await asyncio.to_thread(set_aside, labels_of, split)


def _number_of(name: SnapshotName) -> int | None:
    """The number in a snapshot's name; None if it has not the form of one."""
    text = name.snapshot
    # Names hold only ASCII characters, and each number has one name: `1`, not `01`.
    is_number = text.isdigit() and not text.startswith("0") and len(text) <= _MAX_DIGITS
    return int(text) if is_number else None


def _name(row: SnapshotRow) -> SnapshotName:
    return SnapshotName(row.project, str(row.number))


def _requested_split(row: SnapshotRow) -> AutoSplit:
    return AutoSplit(row.test_fraction, row.seed)


def _to_snapshot(row: SnapshotRow) -> Snapshot:
    return Snapshot(
        name=_name(row),
        manifest_sha256=row.manifest_sha256,
        manifest_key=row.manifest_key,
        train_image_count=row.train_image_count,
        test_image_count=row.test_image_count,
        label_counts=[SnapshotLabelCount(**count) for count in row.label_counts],
        auto_split=_requested_split(row) if row.is_auto_split else None,
        unready_image_count=row.unready_image_count,
        create_time=row.create_time,
    )
