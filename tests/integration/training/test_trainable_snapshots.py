"""Which snapshots there is enough in to learn from, said before a job is made."""

import pytest

from sightsmith.api.labeling.v1.snapshot_pb2 import Snapshot, SnapshotLabelCount
from sightsmith.errors import FailedPreconditionError
from sightsmith.names import SnapshotName
from sightsmith.rpc.service_channel import service_channel
from sightsmith.settings import Settings
from sightsmith_training.snapshots import Snapshots, TrainableSnapshot
from tests.integration.training.neighbours import Neighbours


async def find(
    neighbours: Neighbours, settings: Settings, *counts: SnapshotLabelCount, leave_out: bool = False
) -> TrainableSnapshot:
    name = "projects/brands/snapshots/1"
    neighbours.snapshots[name] = Snapshot(name=name, label_counts=counts)
    async with service_channel(neighbours.target, settings) as labeling:
        snapshots = Snapshots(labeling, min_images_per_label=3)
        return await snapshots.find(SnapshotName.parse(name), leave_out_rare_labels=leave_out)


def count(label: str, train: int, train_boxes: int = 0, test_boxes: int = 0) -> SnapshotLabelCount:
    return SnapshotLabelCount(
        label=label, train_image_count=train, train_box_count=train_boxes, test_box_count=test_boxes
    )


async def test_one_picture_of_one_label_is_enough_to_compose_scenes(
    neighbours: Neighbours, server_settings: Settings
) -> None:
    found = await find(neighbours, server_settings, count("acme", 1, test_boxes=5))
    assert found.name == "projects/brands/snapshots/1"


async def test_a_label_of_test_boxes_alone_is_too_little(neighbours: Neighbours, server_settings: Settings) -> None:
    with pytest.raises(FailedPreconditionError, match="'zenith' has 0 of at least 1") as refusal:
        await find(neighbours, server_settings, count("acme", 1, test_boxes=5), count("zenith", 0, test_boxes=2))
    assert refusal.value.reason == "NOT_ENOUGH_DATA"


async def test_boxes_on_training_images_need_as_many_as_ever(neighbours: Neighbours, server_settings: Settings) -> None:
    with pytest.raises(FailedPreconditionError, match="'acme' has 2 of at least 3"):
        await find(neighbours, server_settings, count("acme", 2, train_boxes=2, test_boxes=5))


async def test_one_rare_label_need_not_stop_the_others(neighbours: Neighbours, server_settings: Settings) -> None:
    counts = [count("acme", 9), count("zenith", 3), count("rare", 2), count("test only", 0)]
    with pytest.raises(FailedPreconditionError, match="with leave_out_rare_labels the training would do") as refusal:
        await find(neighbours, server_settings, *counts)
    fields = [violation.field for violation in refusal.value.violations]
    assert fields == ["labels['rare']", "labels['test only']"]
    assert (await find(neighbours, server_settings, *counts, leave_out=True)).name == "projects/brands/snapshots/1"
    with pytest.raises(FailedPreconditionError, match="have 3 training images or more; found 'acme'"):
        await find(neighbours, server_settings, counts[0], *counts[2:], leave_out=True)
