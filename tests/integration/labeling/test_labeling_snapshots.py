"""Snapshots: what they hold, how test images are set aside, and that one request takes one."""

import asyncio
import hashlib
import uuid
from collections import Counter

import pytest
from google.protobuf import json_format
from grpc import StatusCode
from nats.js import JetStreamContext

from sightsmith.api.events.v1.event_pb2 import Event
from sightsmith.api.labeling.v1 import snapshot_service_pb2 as snapshot_pb
from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TEST, SPLIT_TRAIN, Split
from sightsmith.api.labeling.v1.snapshot_pb2 import AutoSplit, Snapshot, SnapshotEntry
from sightsmith.database import Database
from sightsmith.events.bus import EventBus
from sightsmith.events.outbox import OutboxRelay
from sightsmith.objects import Objects, open_object_store
from sightsmith.settings import Settings
from sightsmith_labeling.tables import Outbox

from .labeling_client import CREATED, Failure, LabelingClient, Sample
from .sample_images import jpeg

SAMPLES = [Sample(f"{seed}.jpg", jpeg(seed), ("cat" if seed < 10 else "dog",)) for seed in range(15)]


async def take(client: LabelingClient, project: str, **fields: object) -> Snapshot:
    request = snapshot_pb.CreateSnapshotRequest(parent=project, **fields)  # type: ignore[arg-type]
    return await client.snapshots.CreateSnapshot(request, metadata=client.metadata)


async def read(settings: Settings, snapshot: Snapshot) -> list[SnapshotEntry]:
    manifest = await Objects(open_object_store(settings.object_store_url)).get(snapshot.manifest_key)
    assert snapshot.manifest_key == f"snapshots/{snapshot.manifest_sha256}.jsonl"
    assert hashlib.sha256(manifest).hexdigest() == snapshot.manifest_sha256
    return [json_format.Parse(line, SnapshotEntry()) for line in manifest.splitlines()]


def labels_of(entries: list[SnapshotEntry], split: Split.ValueType) -> Counter[str]:
    return Counter(label for entry in entries if entry.split == split for label in entry.labels)


def counts_of(snapshot: Snapshot) -> dict[str, tuple[int, int]]:
    return {count.label: (count.train_image_count, count.test_image_count) for count in snapshot.label_counts}


async def test_a_snapshot_holds_every_labelled_image(
    client: LabelingClient, dataset: str, project: str, server_settings: Settings
) -> None:
    answers = await client.upload(dataset, [*SAMPLES, Sample("unlabelled.jpg", jpeg(99), ())])
    test = await client.new_dataset(project, "test", SPLIT_TEST)
    answers += await client.upload(test, [Sample("test.jpg", jpeg(50), ("dog", "animal"))])
    snapshot = await take(client, project, auto_split=AutoSplit(test_fraction=0.5))
    assert snapshot.name == f"{project}/snapshots/1"
    assert (snapshot.train_image_count, snapshot.test_image_count) == (15, 1)
    assert counts_of(snapshot) == {"animal": (0, 1), "cat": (10, 0), "dog": (5, 1)}
    assert not snapshot.HasField("auto_split")
    entries = await read(server_settings, snapshot)
    assert [(entry.split, entry.sha256) for entry in entries] == sorted(
        (entry.split, entry.sha256) for entry in entries
    )
    images = {answer.image.name: answer.image for answer in answers if answer.image.labels}
    assert {entry.image for entry in entries} == images.keys()
    for entry in entries:
        image = images[entry.image]
        assert (entry.sha256, entry.labels, entry.source) == (image.sha256, image.labels, image.source)
        assert entry.split == (SPLIT_TEST if image.name.startswith(test) else SPLIT_TRAIN)
        assert entry.key == f"images/{entry.sha256[:2]}/{entry.sha256}"
    request = snapshot_pb.GetSnapshotRequest(name=snapshot.name)
    assert await client.snapshots.GetSnapshot(request, metadata=client.metadata) == snapshot


async def test_test_images_are_set_aside_where_there_are_none(
    client: LabelingClient, dataset: str, project: str, server_settings: Settings
) -> None:
    await client.upload(dataset, SAMPLES)
    await client.new_dataset(project, "test", SPLIT_TEST)
    snapshot = await take(client, project)
    assert snapshot.auto_split == AutoSplit(test_fraction=0.2, seed=0)
    assert counts_of(snapshot) == {"cat": (8, 2), "dog": (4, 1)}
    entries = await read(server_settings, snapshot)
    assert [entry.split for entry in entries] == [SPLIT_TRAIN] * 12 + [SPLIT_TEST] * 3
    assert labels_of(entries, SPLIT_TEST) == {"cat": 2, "dog": 1}
    again = await take(client, project, auto_split=AutoSplit(seed=0))
    assert again.name == f"{project}/snapshots/2"
    assert again.manifest_sha256 == snapshot.manifest_sha256
    other = await take(client, project, auto_split=AutoSplit(test_fraction=0.5, seed=-7))
    assert other.auto_split == AutoSplit(test_fraction=0.5, seed=-7)
    assert other.manifest_sha256 != snapshot.manifest_sha256
    assert counts_of(other) == {"cat": (5, 5), "dog": (2, 3)}


async def test_a_snapshot_never_changes(
    client: LabelingClient, dataset: str, project: str, server_settings: Settings
) -> None:
    await client.upload(dataset, SAMPLES[:5])
    snapshot = await take(client, project)
    before = await read(server_settings, snapshot)
    await client.upload(dataset, SAMPLES)
    assert (await take(client, project)).manifest_sha256 != snapshot.manifest_sha256
    request = snapshot_pb.GetSnapshotRequest(name=snapshot.name)
    assert await client.snapshots.GetSnapshot(request, metadata=client.metadata) == snapshot
    assert await read(server_settings, snapshot) == before


async def test_there_must_be_something_to_take(client: LabelingClient, dataset: str, project: str) -> None:
    await client.upload(dataset, [Sample("unlabelled.jpg", jpeg(1), ())])
    with Failure(StatusCode.FAILED_PRECONDITION, "NOT_ENOUGH_DATA"):
        await take(client, project)
    await client.upload(dataset, SAMPLES[:1])
    assert (await take(client, project)).name.endswith("/1")


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"auto_split": AutoSplit(test_fraction=0.6)}, "auto_split.test_fraction"),
        ({"auto_split": AutoSplit(test_fraction=-0.1)}, "auto_split.test_fraction"),
        ({"auto_split": AutoSplit(test_fraction=float("nan"))}, "auto_split.test_fraction"),
        ({"request_id": "1"}, "request_id"),
    ],
)
async def test_wrong_arguments_are_named(
    client: LabelingClient, project: str, fields: dict[str, object], wrong: str
) -> None:
    with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await take(client, project, **fields)
    assert failure.fields == [wrong]


async def test_a_repeated_request_takes_no_second_snapshot(client: LabelingClient, dataset: str, project: str) -> None:
    await client.upload(dataset, SAMPLES[:5])
    request_id = str(uuid.uuid4())
    first, *others = await asyncio.gather(*(take(client, project, request_id=request_id) for _ in range(5)))
    assert others == [first] * 4
    await client.upload(dataset, SAMPLES)
    assert await take(client, project, request_id=request_id.upper()) == first
    with Failure(StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED") as failure:
        await take(client, project, request_id=request_id, auto_split=AutoSplit(seed=1))
    assert failure.error.metadata == {"name": first.name}
    assert (await take(client, project)).name == f"{project}/snapshots/2"


async def test_an_equal_snapshot_will_do_where_that_is_asked_for(
    client: LabelingClient, dataset: str, project: str
) -> None:
    await client.upload(dataset, SAMPLES[:12])
    first = await take(client, project, reuse_equal=True)
    assert await take(client, project, reuse_equal=True) == first
    assert await take(client, project, reuse_equal=True, request_id=str(uuid.uuid4())) == first
    second = await take(client, project)
    assert second.name != first.name
    assert await take(client, project, reuse_equal=True) == second
    for different in ({"auto_split": AutoSplit(seed=1)}, {"include_unlabelled": True}):
        assert (await take(client, project, reuse_equal=True, **different)).name not in (first.name, second.name)
    await client.upload(dataset, SAMPLES)
    third = await take(client, project, reuse_equal=True)
    assert third.manifest_sha256 != second.manifest_sha256
    assert third.train_image_count + third.test_image_count == 15


async def test_a_repeated_request_is_answered_alike_though_an_equal_snapshot_did_for_it(
    client: LabelingClient, dataset: str, project: str
) -> None:
    await client.upload(dataset, SAMPLES[:12])
    first = await take(client, project)
    wanted = {"reuse_equal": True, "request_id": str(uuid.uuid4())}
    assert await take(client, project, **wanted) == first
    await client.upload(dataset, SAMPLES)
    assert (await take(client, project, reuse_equal=True)).name != first.name
    assert await take(client, project, **wanted) == first
    with Failure(StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED") as failure:
        await take(client, project, **wanted, include_unlabelled=True)
    assert failure.error.metadata == {"name": first.name}


async def test_numbers_count_up_without_gaps(client: LabelingClient, dataset: str, project: str) -> None:
    await client.upload(dataset, SAMPLES[:3])
    taken = await asyncio.gather(*(take(client, project) for _ in range(8)))
    assert sorted(snapshot.name for snapshot in taken) == [f"{project}/snapshots/{number}" for number in range(1, 9)]
    first = await client.snapshots.ListSnapshots(
        snapshot_pb.ListSnapshotsRequest(parent=project, page_size=5), metadata=client.metadata
    )
    request = snapshot_pb.ListSnapshotsRequest(parent=project, page_size=5, page_token=first.next_page_token)
    second = await client.snapshots.ListSnapshots(request, metadata=client.metadata)
    numbers = [int(snapshot.name.rpartition("/")[2]) for snapshot in [*first.snapshots, *second.snapshots]]
    assert numbers == list(range(8, 0, -1))


async def test_each_snapshot_is_told_once(
    client: LabelingClient, dataset: str, project: str, server_settings: Settings
) -> None:
    """Though two relays work on the same outbox: the server's own, and one in this process."""
    bus, database = EventBus(server_settings, "test"), Database(server_settings.database_url.get_secret_value())
    background = [asyncio.create_task(work) for work in (bus.run(), OutboxRelay(database, Outbox, bus).run())]
    try:
        answers = await client.upload(dataset, SAMPLES[:3])
        assert {answer.outcome for answer in answers} == {CREATED}
        taken = await asyncio.gather(*(take(client, project) for _ in range(10)))
        told = await _told(await bus.jetstream(), project)
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await database.close()
    assert sorted(told) == sorted(snapshot.name for snapshot in taken)


async def _told(jetstream: JetStreamContext, project: str) -> list[str]:
    """The project's snapshots that were told of, until nothing has come for two seconds."""
    subscription = await jetstream.subscribe("sightsmith.events.snapshot.created", ordered_consumer=True)
    told: list[str] = []
    while True:
        try:
            message = await subscription.next_msg(timeout=2)
        except TimeoutError:
            return told
        event = Event.FromString(message.data)
        if event.snapshot_created.snapshot.startswith(f"{project}/"):
            assert message.headers is not None
            assert message.headers["Nats-Msg-Id"] == event.id
            told.append(event.snapshot_created.snapshot)
