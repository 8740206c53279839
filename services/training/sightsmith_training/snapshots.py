"""Snapshots, as training sees them: labeling's answer when a job is created, the manifest when a worker begins."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

import grpc
from google.protobuf import json_format
from google.rpc import code_pb2

from sightsmith.api.labeling.v1 import snapshot_pb2, snapshot_service_pb2, snapshot_service_pb2_grpc
from sightsmith.api.labeling.v1.dataset_pb2 import Split
from sightsmith.errors import FailedPreconditionError, FieldViolation, InternalError
from sightsmith.names import SnapshotName
from sightsmith.objects import Objects
from sightsmith.rpc.channel import error_of
from sightsmith_training.engine.specification import EmbeddingFile, SpecBox, SpecEntry

_TIMEOUT_SECONDS = 30.0
_NAMED_LABELS = 10


@dataclass(frozen=True)
class FrozenSnapshot:
    """A snapshot, and where its images are told.

    Attributes:
        name: `projects/{project}/snapshots/{snapshot}`.
        manifest_key: key of its manifest in the object store.
        manifest_sha256: SHA-256 of the manifest, in hexadecimal digits.
    """

    name: str
    manifest_key: str
    manifest_sha256: str


@dataclass(frozen=True)
class TrainableSnapshot(FrozenSnapshot):
    """A snapshot that has what a training needs.

    Attributes:
        embedding_files: features of its images that are known already.
    """

    embedding_files: Sequence[EmbeddingFile] = ()


class Snapshots:
    """Asks the labeling service."""

    def __init__(self, channel: grpc.aio.Channel, min_images_per_label: int) -> None:
        self._labeling = snapshot_service_pb2_grpc.SnapshotServiceStub(channel)
        self._min_images_per_label = min_images_per_label

    async def find(self, name: SnapshotName, *, leave_out_rare_labels: bool = False) -> TrainableSnapshot:
        """Finds a snapshot and checks that there is enough in it to learn from.

        Args:
            name: of the snapshot.
            leave_out_rare_labels: whether the others are enough.

        Raises:
            NotFoundError: if labeling knows no such snapshot; other errors of labeling come through as they are.
            FailedPreconditionError: with a violation for each label that has too few images.
        """
        snapshot = await self._get(name)
        violations = self._shortages(snapshot, leave_out_rare_labels)
        if violations:
            problems = [violation.description for violation in violations]
            if violations[0].field != "labels":
                problems.append("with leave_out_rare_labels the training would do without these labels")
            raise FailedPreconditionError(
                f"{snapshot.name} has too little to learn from: " + "; ".join(problems),
                reason="NOT_ENOUGH_DATA",
                violations=violations,
            )
        embedding_files = [
            EmbeddingFile(backbone=file.backbone, key=file.key, sha256=file.sha256) for file in snapshot.embedding_files
        ]
        return TrainableSnapshot(snapshot.name, snapshot.manifest_key, snapshot.manifest_sha256, embedding_files)

    async def find_to_judge_by(self, name: SnapshotName, labels: Collection[str]) -> FrozenSnapshot:
        """Finds a snapshot and checks that something in it is labelled with one of a model's labels.

        Raises:
            NotFoundError: if labeling knows no such snapshot; other errors of labeling come through as they are.
            FailedPreconditionError: if nothing is; the message names what is there.
        """
        snapshot = await self._get(name)
        there = [count.label for count in snapshot.label_counts]
        if not set(there) & set(labels):
            raise FailedPreconditionError(
                f"nothing in {name} is labelled with a label that the model knows: there are {_listed(there)}, and the "
                f"model knows {_listed(labels)}",
                reason="NOT_ENOUGH_DATA",
                violations=[FieldViolation("evaluation_job.snapshot", "has no label that the model knows")],
            )
        return FrozenSnapshot(snapshot.name, snapshot.manifest_key, snapshot.manifest_sha256)

    async def _get(self, name: SnapshotName) -> snapshot_pb2.Snapshot:
        try:
            request = snapshot_service_pb2.GetSnapshotRequest(name=str(name))
            snapshot: snapshot_pb2.Snapshot = await self._labeling.GetSnapshot(request, timeout=_TIMEOUT_SECONDS)
            return snapshot
        except grpc.RpcError as error:
            raise error_of(error) from error

    def _shortages(self, snapshot: snapshot_pb2.Snapshot, leave_out_rare_labels: bool) -> list[FieldViolation]:
        counts = {count.label: count.train_image_count for count in snapshot.label_counts}
        has_boxes = any(count.train_box_count for count in snapshot.label_counts)
        composes = not has_boxes and any(count.test_box_count for count in snapshot.label_counts)
        needed = 1 if has_boxes or composes or snapshot.unlabelled_image_count else 2
        # Scenes show one picture of an object in many ways.
        least = 1 if composes else self._min_images_per_label
        if leave_out_rare_labels:
            counts = {label: count for label, count in counts.items() if count >= least}
        if len(counts) < needed:
            found = ", ".join(f"'{label}'" for label in counts) or "none"
            rule = (
                "at least 2 labels are needed to tell images apart" if needed == 2 else "at least one label is needed"
            )
            enough = f" that have {least} training images or more" if leave_out_rare_labels else ""
            return [FieldViolation("labels", f"{rule}{enough}; found {found}")]
        return [
            FieldViolation(f"labels['{label}']", f"label '{label}' has {count} of at least {least} training images")
            for label, count in counts.items()
            if count < least
        ]


def _listed(labels: Collection[str]) -> str:
    named = ", ".join(f"'{label}'" for label in list(labels)[:_NAMED_LABELS]) or "none"
    return named if len(labels) <= _NAMED_LABELS else f"{named} and {len(labels) - _NAMED_LABELS} others"


async def read_manifest(objects: Objects, key: str, sha256: str) -> list[SpecEntry]:
    """Reads a snapshot's manifest.

    Raises:
        InternalError: if the manifest is gone or is not the one that the snapshot was taken with.
    """
    try:
        data = await objects.get(key)
    except FileNotFoundError:
        raise InternalError(f"the manifest {key} is not in the object store") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise InternalError(f"the manifest {key} is not the one that was written")
    # A manifest may have 100,000 lines, and the leases are kept meanwhile.
    return await asyncio.to_thread(lambda: [_entry(line) for line in data.splitlines()])


class SnapshotEntries:
    """Looks up single images of snapshots."""

    def __init__(self, objects: Objects, labeling: grpc.aio.Channel) -> None:
        """Prepares it.

        Args:
            objects: where the manifests are.
            labeling: a channel to the service that knows the snapshots.
        """
        self._objects = objects
        self._labeling = snapshot_service_pb2_grpc.SnapshotServiceStub(labeling)

    async def find(self, snapshot: str, image: str) -> SpecEntry | None:
        """An image as it was when the snapshot was taken; None if the snapshot is gone or does not hold it.

        Args:
            snapshot: resource name of the snapshot.
            image: resource name of the image.

        Raises:
            UnavailableError: if labeling or the object store cannot be reached.
        """
        try:
            request = snapshot_service_pb2.GetSnapshotRequest(name=snapshot)
            found = await self._labeling.GetSnapshot(request, timeout=_TIMEOUT_SECONDS)
        except grpc.RpcError as call_error:
            error = error_of(call_error)
            if error.code == code_pb2.NOT_FOUND:
                return None
            raise error from call_error
        with suppress(FileNotFoundError):
            return await self._entry_of(found.manifest_key, image)
        return None

    async def _entry_of(self, manifest_key: str, image: str) -> SpecEntry | None:
        quoted = f'"{image}"'.encode()
        async with aclosing(self._objects.chunks(manifest_key)) as chunks:
            async for line in _lines(chunks):
                # Only what can be meant is read as JSON: a manifest may have 100,000 lines.
                if quoted in line and (entry := _entry(line)).image == image:
                    return entry
        return None


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
    yield rest


def _entry(line: bytes) -> SpecEntry:
    entry = json_format.Parse(line, snapshot_pb2.SnapshotEntry())
    return SpecEntry(
        image=entry.image,
        sha256=entry.sha256,
        key=entry.key,
        split="test" if entry.split == Split.SPLIT_TEST else "train",
        labels=list(entry.labels),
        source=entry.source,
        boxes=[_box(box) for box in entry.boxes],
        width=entry.width,
        height=entry.height,
    )


def _box(box: snapshot_pb2.LabelledBox) -> SpecBox:
    place = box.box
    return SpecBox(label=box.label, left=place.left, top=place.top, width=place.width, height=place.height)
