"""Bringing a project's datasets back to a snapshot: all of it in one transaction."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database, utc_now
from sightsmith.errors import FailedPreconditionError
from sightsmith.images import ImageError
from sightsmith.names import DatasetName
from sightsmith.objects import Objects, image_key
from sightsmith_labeling import changes
from sightsmith_labeling.annotations import stored
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.intake import Intake
from sightsmith_labeling.kept_image import KeptImage
from sightsmith_labeling.labels import label_keys, label_names
from sightsmith_labeling.snapshots.reading import SnapshotImage, downloaded, read_images
from sightsmith_labeling.snapshots.restore_plan import Fate, Restoration, plan
from sightsmith_labeling.snapshots.restore_rows import (
    Row,
    change_images,
    clear_others,
    count_others,
    known,
    lock_project,
    make_dataset,
    present_images,
    return_images,
)
from sightsmith_labeling.snapshots.snapshots import Snapshot
from sightsmith_labeling.tables import DatasetRow

_IMAGES_AT_ONCE = 1000


@dataclass(frozen=True)
class Restored:
    """What was done, or would be done, to bring a project back to a snapshot. An image counts once.

    Attributes:
        returned: images that had been deleted.
        moved: images that get back their dataset, name or source.
        changed: images that get other annotations.
        unchanged: images that are as the snapshot says already.
        cleared: images that are not in the snapshot and lose their annotations.
    """

    returned: int
    moved: int
    changed: int
    unchanged: int
    cleared: int


class Restorer:
    """Brings projects back to their snapshots."""

    def __init__(self, database: Database, objects: Objects, intake: Intake) -> None:
        self._database = database
        self._objects = objects
        self._intake = intake

    async def restore(self, snapshot: Snapshot, validate_only: bool) -> Restored:
        """Brings a project's datasets back to a snapshot, or tells what that would do.

        Images whose bytes are not there yet are left alone: no snapshot knows them.

        Raises:
            FailedPreconditionError: if a dataset of the snapshot was replaced by one of another name, or the bytes of a
                deleted image are gone.
            UnavailableError: if the database or the object store cannot be reached.
        """
        async with downloaded(self._objects, snapshot) as manifest:
            # What has to be read from the object store is read before anything is locked.
            returning = {} if validate_only else await self._examine_deleted(manifest, snapshot)
            async with self._database.transaction() as session:
                restoration = await _Restoring.begin(session, snapshot, returning, validate_only)
                for images in _batches(manifest, snapshot):
                    await restoration.restore(images)
                return await restoration.finish()

    async def _examine_deleted(self, manifest: Path, snapshot: Snapshot) -> Mapping[str, KeptImage]:
        found: dict[str, KeptImage] = {}
        for images in _batches(manifest, snapshot):
            async with self._database.transaction() as session:
                there = await known(session, snapshot.name.project, [image.sha256 for image in images])
            for image in images:
                if image.sha256 not in there | found.keys():
                    found[image.sha256] = await self._examine(image)
        return found

    async def _examine(self, image: SnapshotImage) -> KeptImage:
        try:
            return await self._intake.keep(image.source, await self._objects.get(image_key(image.sha256)))
        except (FileNotFoundError, ImageError) as error:
            message = f"{image.image} cannot come back: its bytes are gone, or are refused by now"
            raise FailedPreconditionError(message, metadata={"name": image.image}) from error


class _Restoring:
    """One restoration, in its transaction."""

    def __init__(
        self, session: AsyncSession, snapshot: Snapshot, returning: Mapping[str, KeptImage], validate_only: bool
    ) -> None:
        self._session = session
        self._snapshot = snapshot
        self._project = snapshot.name.project
        self._returning = returning
        self._validate_only = validate_only
        self._time = utc_now()
        self._fates: Counter[Fate] = Counter()
        self._restored: list[int] = []
        self._datasets: dict[str, int] = {}
        self._labels: Mapping[int, str] = {}

    @classmethod
    async def begin(
        cls, session: AsyncSession, snapshot: Snapshot, returning: Mapping[str, KeptImage], validate_only: bool
    ) -> "_Restoring":
        self = cls(session, snapshot, returning, validate_only)
        if not validate_only:
            await lock_project(session, self._project)
        datasets = select(DatasetRow.id, DatasetRow.key).where(DatasetRow.project == self._project)
        self._datasets = dict((await session.execute(datasets)).tuples().all())
        self._labels = await label_names(session, self._project)
        return self

    async def restore(self, images: Sequence[SnapshotImage]) -> None:
        """Restores images: all copies of a picture together."""
        sha256s = [image.sha256 for image in images]
        present = await present_images(self._session, self._project, sha256s, self._labels)
        restorations = [
            restoration
            for sha256, copies in groupby(images, key=lambda image: image.sha256)
            for restoration in plan(list(copies), present.get(sha256, ()))
        ]
        self._fates.update(restoration.fate for restoration in restorations)
        self._restored += [found.present.sequence for found in restorations if found.present is not None]
        if not self._validate_only:
            await self._write([found for found in restorations if found.fate != Fate.UNCHANGED])

    async def finish(self) -> Restored:
        """Takes the annotations from all other images, and puts the restoration on record."""
        counts = Restored(
            returned=self._fates[Fate.RETURNED],
            moved=self._fates[Fate.MOVED],
            changed=self._fates[Fate.CHANGED],
            unchanged=self._fates[Fate.UNCHANGED],
            cleared=await self._clear_others(),
        )
        if not self._validate_only:
            changes.record(self._session, self._project, self._snapshot.name, "snapshots.restore", **vars(counts))
        return counts

    async def _clear_others(self) -> int:
        if self._validate_only:
            return await count_others(self._session, self._project, self._restored)
        cleared = await clear_others(self._session, self._project, self._restored, self._time)
        self._record("snapshots.clear_images", cleared)
        return len(cleared)

    async def _write(self, restorations: Sequence[Restoration]) -> None:
        if not restorations:
            return
        await self._ensure_datasets(restorations)
        labels = {label for found in restorations for label in (*found.wanted.labels, *dict(found.wanted.boxes))}
        keys = await label_keys(self._session, self._project, labels)
        rows = [self._row(restoration, keys) for restoration in restorations]
        await change_images(self._session, [row for row in rows if "sequence" in row])
        self._restored += await return_images(self._session, [row for row in rows if "sequence" not in row])
        self._record("snapshots.restore_images", [restoration.name.image for restoration in restorations])

    def _record(self, action: str, images: Sequence[str]) -> None:
        changes.record_images(self._session, self._project, self._snapshot.name, action, images)

    async def _ensure_datasets(self, restorations: Iterable[Restoration]) -> None:
        """Makes those datasets again that were deleted since."""
        for restoration in restorations:
            name = DatasetName(self._project, restoration.name.dataset)
            if name.dataset not in self._datasets:
                # Test images that were set aside automatically lie in the training dataset.
                is_aside = self._snapshot.auto_split is not None
                split = Split.TRAIN if is_aside else restoration.wanted.split
                key = await make_dataset(self._session, name, split, self._time)
                if key is None:
                    message = f"{name} was deleted, and the project has another dataset for {split.name} now"
                    raise FailedPreconditionError(message, metadata={"name": str(name)})
                self._datasets[name.dataset] = key

    def _row(self, restoration: Restoration, label_keys: Mapping[str, int]) -> Row:
        annotations = restoration.annotations(str(self._snapshot.name), self._time)
        name, wanted, time = restoration.name, restoration.wanted, self._time.isoformat()
        row = {
            "dataset": self._datasets[name.dataset],
            "id": name.image,
            "source": wanted.source,
            "annotations": [stored(annotation, label_keys) for annotation in annotations],
            "last_annotation": max([restoration.last_annotation, *(annotation.id for annotation in annotations)]),
            "update_time": time,
        }
        if restoration.present is not None:
            return {**row, "sequence": restoration.present.sequence}
        # None if the image was deleted after the others were looked at: it is measured later, as one of old times.
        kept = self._returning.get(wanted.sha256)
        return {
            **row,
            "create_time": time,
            "sha256": wanted.sha256,
            "width": kept.info.width if kept else wanted.width,
            "height": kept.info.height if kept else wanted.height,
            "size_bytes": kept.size_bytes if kept else None,
            "media_type": kept.info.media_type if kept else None,
            "signals": vars(kept.signals) if kept else None,
        }


def _batches(manifest: Path, snapshot: Snapshot) -> Iterator[Sequence[SnapshotImage]]:
    """The images of a snapshot, a thousand and some at once; copies of a picture are never torn apart."""
    with closing(read_images(manifest, snapshot)) as images:
        batch: list[SnapshotImage] = []
        for image in images:
            if len(batch) >= _IMAGES_AT_ONCE and image.sha256 != batch[-1].sha256:
                yield batch
                batch = []
            batch.append(image)
        if batch:
            yield batch
