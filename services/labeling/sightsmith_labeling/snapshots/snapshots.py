"""Snapshots: what is labelled in a project, fixed at one moment."""

import asyncio
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from sightsmith_labeling import changes
from sightsmith_labeling.constraints import violated_constraint
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.embeddings.snapshot_files import EmbeddingFile, SnapshotEmbeddings
from sightsmith_labeling.labelled_images import LabelledImage, LabelledImages, labelled_images
from sightsmith_labeling.projects import require_project
from sightsmith_labeling.snapshots.manifest import Entry, Manifest, ManifestWriter, SnapshotLabelCount
from sightsmith_labeling.snapshots.reuse import Asked, record_reuse, reused_by
from sightsmith_labeling.splitting.auto_split import AutoSplit
from sightsmith_labeling.splitting.candidates import SplitImage, split_image
from sightsmith_labeling.splitting.choice import choose_test_images
from sightsmith_labeling.tables import Outbox, ProjectRow, SnapshotRow

# Anything longer may not fit a PostgreSQL bigint.
_MAX_DIGITS = 18
# Images that show nothing that is looked for are split as if that were a label; no label's name is empty.
_UNLABELLED = (("", 0),)


@dataclass(frozen=True)
class Snapshot:
    """The labelled images of a project as they stood at one moment.

    Attributes:
        label_counts: ordered by label.
        auto_split: the split that was made; None if the project had test images of its own.
        unready_image_count: labelled images that are not in it because their bytes were not there.
        includes_unlabelled: whether images without annotations were asked for.
        unlabelled_image_count: images without annotations that are in it.
        embedding_files: what is known of its images, at most one a backbone.
    """

    name: SnapshotName
    manifest_sha256: str
    manifest_key: str
    train_image_count: int
    test_image_count: int
    label_counts: Sequence[SnapshotLabelCount]
    auto_split: AutoSplit | None
    unready_image_count: int
    includes_unlabelled: bool
    unlabelled_image_count: int
    embedding_files: Sequence[EmbeddingFile]
    create_time: datetime


@dataclass(frozen=True)
class SnapshotRequest:
    """What is asked for.

    Attributes:
        auto_split: how to set test images aside if the project has none of its own.
        include_unlabelled: whether to take images without annotations too.
        request_id: makes a repeated request return the first one's snapshot.
        reuse_equal: whether a snapshot that says the same will do.
    """

    project: ProjectName
    auto_split: AutoSplit
    include_unlabelled: bool
    request_id: uuid.UUID | None
    reuse_equal: bool = False


@dataclass(frozen=True)
class _Written:
    """What writing a manifest brought to light."""

    manifest: Manifest
    is_auto_split: bool
    unready_image_count: int
    embedding_files: Sequence[EmbeddingFile] = ()


class Snapshots:
    """The snapshots in the database, and their manifests in the object store."""

    def __init__(self, database: Database, objects: Objects, embeddings: SnapshotEmbeddings) -> None:
        self._database = database
        self._objects = objects
        self._embeddings = embeddings

    async def create(self, request: SnapshotRequest) -> Snapshot:
        """Takes a snapshot, or returns the one that the same request took before, or one that will do.

        Raises:
            NotFoundError: if the project does not exist.
            FailedPreconditionError: if nothing in it is labelled.
            AlreadyExistsError: if the request id was used with other arguments.
        """
        if (first := await self._taken_by(request)) is not None:
            return first
        with tempfile.TemporaryDirectory(prefix="sightsmith-snapshot-") as folder:
            written = await self._write_manifest(request, Path(folder))
            await self._objects.put_file(written.manifest.key, written.manifest.path)
            files = await self._embeddings.write(written.manifest.path, Path(folder))
            written = replace(written, embedding_files=files)
        if request.reuse_equal and (equal := await self._equal(request, written)) is not None:
            return equal
        try:
            return await self._insert(request, written)
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
        """The snapshot that an earlier request of the same id took, or that did for it."""
        async with self._database.transaction() as session:
            await require_project(session, request.project)
            if request.request_id is None:
                return None
            row = await session.scalar(
                select(SnapshotRow).where(
                    SnapshotRow.project == request.project.project, SnapshotRow.request_id == request.request_id
                )
            )
            asked = None if row is None else _asked(_requested_split(row), row.includes_unlabelled)
            if row is None and (reused := await reused_by(session, request.project, request.request_id)):
                name, asked = reused
                row = await session.get(SnapshotRow, (name.project, _number_of(name)))
        if row is None:
            return None
        if asked != _asked(request.auto_split, request.include_unlabelled):
            raise AlreadyExistsError(
                f"request_id {request.request_id} was used before with other arguments",
                reason="REQUEST_ID_REUSED",
                metadata={"name": str(_name(row))},
            )
        return _to_snapshot(row)

    async def _equal(self, request: SnapshotRequest, written: _Written) -> Snapshot | None:
        """The newest snapshot that says what one that was taken now would say."""
        row = SnapshotRow
        same = select(row).where(
            row.project == request.project.project,
            row.manifest_sha256 == written.manifest.sha256,
            row.unready_image_count == written.unready_image_count,
            row.includes_unlabelled == request.include_unlabelled,
            row.is_auto_split == written.is_auto_split,
            row.embeddings == [vars(file) for file in written.embedding_files],
        )
        if written.is_auto_split:
            split = request.auto_split
            same = same.where(row.test_fraction == split.test_fraction, row.seed == split.seed)
        async with self._database.transaction() as session:
            found = await session.scalar(same.order_by(row.number.desc()).limit(1))
            if found is not None and request.request_id is not None:
                asked = _asked(request.auto_split, request.include_unlabelled)
                record_reuse(session, _name(found), request.request_id, asked)
        return None if found is None else _to_snapshot(found)

    async def _write_manifest(self, request: SnapshotRequest, folder: Path) -> _Written:
        writer = ManifestWriter(folder)
        async with labelled_images(self._database, request.project, request.include_unlabelled) as images:
            unready_image_count = await images.count_unready()
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
        if not manifest.label_counts:
            raise FailedPreconditionError(
                f"{request.project} has no labelled images to take a snapshot of", reason="NOT_ENOUGH_DATA"
            )
        return _Written(manifest, is_auto_split, unready_image_count)

    async def _insert(self, request: SnapshotRequest, written: _Written) -> Snapshot:
        manifest = written.manifest
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
                unready_image_count=written.unready_image_count,
                includes_unlabelled=request.include_unlabelled,
                unlabelled_image_count=manifest.unlabelled_image_count,
                label_counts=[vars(count) for count in manifest.label_counts],
                embeddings=[vars(file) for file in written.embedding_files],
                is_auto_split=written.is_auto_split,
                test_fraction=request.auto_split.test_fraction,
                seed=request.auto_split.seed,
                request_id=request.request_id,
            )
            session.add(row)
            changes.record(session, row.project, _name(row), "snapshots.create", manifest_sha256=manifest.sha256)
            tell(session, Outbox, SnapshotCreated(snapshot=str(_name(row))))
        return _to_snapshot(row)


async def _choose(images: LabelledImages, split: AutoSplit) -> frozenset[str]:
    candidates = [_candidate(image) async for image in images.read()]
    return await asyncio.to_thread(choose_test_images, candidates, split)


def _candidate(image: LabelledImage) -> SplitImage:
    candidate = split_image(image.sha256, image.annotations, image.signals)
    return candidate if candidate.labels else replace(candidate, labels=_UNLABELLED)


def _number_of(name: SnapshotName) -> int | None:
    """The number in a snapshot's name; None if it has not the form of one."""
    text = name.snapshot
    # Names hold only ASCII characters, and each number has one name: `1`, not `01`.
    is_number = text.isdigit() and not text.startswith("0") and len(text) <= _MAX_DIGITS
    return int(text) if is_number else None


def _name(row: SnapshotRow) -> SnapshotName:
    return SnapshotName(row.project, str(row.number))


def _asked(split: AutoSplit, include_unlabelled: bool) -> Asked:
    """What must be equal where a request is sent again."""
    return {"test_fraction": split.test_fraction, "seed": split.seed, "include_unlabelled": include_unlabelled}


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
        includes_unlabelled=row.includes_unlabelled,
        unlabelled_image_count=row.unlabelled_image_count,
        embedding_files=[EmbeddingFile(**file) for file in row.embeddings],
        create_time=row.create_time,
    )
