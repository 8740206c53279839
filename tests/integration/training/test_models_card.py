"""Cards of models."""

from collections.abc import Awaitable, Callable

import pytest

from sightsmith.api.labeling.v1.snapshot_pb2 import Snapshot, SnapshotLabelCount
from sightsmith.client import Client, SightsmithError
from sightsmith.client.calls import calling
from tests.integration.training.neighbours import Neighbours

PublishModel = Callable[..., Awaitable[str]]
NewProject = Callable[[], str]


async def test_a_card_tells_what_there_is_and_always_the_same(
    client: Client, publish_model: PublishModel, new_project: NewProject, neighbours: Neighbours
) -> None:
    project = new_project()
    name = await publish_model(project)
    snapshot = f"projects/{project}/snapshots/1"
    counts = [SnapshotLabelCount(label="dark", train_image_count=31, test_image_count=17)]
    neighbours.snapshots[snapshot] = Snapshot(
        name=snapshot, train_image_count=90, test_image_count=60, manifest_sha256="5" * 64, label_counts=counts
    )
    client.models.tag(name, {"stage": "prod"})
    card, model = client.models.card(name), client.model(name)
    assert client.models.card(name) == card
    told = [
        "| dark | 31 | 17 | 0 | 0 |",
        "| efficientnet-lite0 | Apache-2.0 |",
        "| ours | MIT |",
        "| torch | 2.14.1 |",
        "| tag stage | prod |",
        model.training_job,
        snapshot,
        *(f"`{artifact.sha256}`" for artifact in model.artifacts),
    ]
    assert [text for text in told if text not in card] == []


async def test_a_card_outlives_the_snapshot(
    client: Client, publish_model: PublishModel, new_project: NewProject
) -> None:
    assert "The snapshot is gone with its project." in client.models.card(await publish_model(new_project()))


async def test_there_is_no_card_without_a_model(client: Client, project: str) -> None:
    with pytest.raises(SightsmithError) as raised, calling():
        client.models.card(f"projects/{project}/models/v1")
    assert raised.value.reason == "NOT_FOUND"
