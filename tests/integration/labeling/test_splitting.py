"""Test images set aside for good, on a real database."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from sqlalchemy import select

from sightsmith.api.labeling.v1 import change_service_pb2
from sightsmith.api.labeling.v1.change_service_pb2_grpc import ChangeServiceStub
from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TEST
from sightsmith.database import Database
from sightsmith.stack import Endpoints
from sightsmith_labeling.arrays import is_one_of_keys, is_one_of_texts
from sightsmith_labeling.tables import ImageRow

from .labeling_client import Failure, LabelingClient, Sample
from .sample_images import jpeg
from .validation_client import ValidationClient


@pytest.fixture
def splits(client: LabelingClient) -> ValidationClient:
    return ValidationClient(client)


@pytest.fixture
async def database(servers: Endpoints) -> AsyncIterator[Database]:
    database = Database(servers.database_url)
    yield database
    await database.close()


@pytest.fixture
async def labelled(client: LabelingClient, dataset: str) -> str:
    """A project with twenty cats, ten dogs and five images without labels to learn from."""
    labels = [("cat",)] * 20 + [("dog",)] * 10 + [()] * 5
    await client.upload(dataset, [Sample(f"{n}.jpg", jpeg(seed=3000 + n), each) for n, each in enumerate(labels)])
    return dataset.partition("/datasets/")[0]


async def counts(client: LabelingClient, project: str) -> dict[str, dict[str, int]]:
    """Images of each label in each dataset."""
    return {
        split: {
            label.label: label.image_count
            for label in (await client.dataset(f"{project}/datasets/{split}")).label_counts
        }
        for split in ("train", "test")
    }


async def test_each_label_gets_its_share(client: LabelingClient, splits: ValidationClient, labelled: str) -> None:
    preview = await splits.distribute(labelled, validate_only=True)
    assert (preview.moved_image_count, preview.train_image_count, preview.test_image_count) == (6, 24, 6)
    with Failure(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        await client.dataset(f"{labelled}/datasets/test")
    done = await splits.distribute(labelled)
    assert done == preview
    assert [(label.label, label.train_image_count, label.test_image_count) for label in done.labels] == [
        ("cat", 16, 4),
        ("dog", 8, 2),
    ]
    assert await counts(client, labelled) == {"train": {"cat": 16, "dog": 8}, "test": {"cat": 4, "dog": 2}}
    assert (await client.dataset(f"{labelled}/datasets/train")).image_count == 29
    again = await splits.distribute(labelled)
    assert (again.moved_image_count, again.test_image_count) == (0, 6)


async def test_it_is_in_the_audit_trail(client: LabelingClient, splits: ValidationClient, labelled: str) -> None:
    await splits.distribute(labelled, test_fraction=0.5, seed=7)
    request = change_service_pb2.ListChangesRequest(parent=labelled)
    changes = (await ChangeServiceStub(client.channel).ListChanges(request, metadata=client.metadata)).changes
    entry = next(change for change in changes if change.action == "images.distribute")
    assert entry.resource == f"{labelled}/datasets/test"
    assert entry.details["image_count"] == 15


async def test_what_is_tested_already_counts(client: LabelingClient, splits: ValidationClient, labelled: str) -> None:
    test = await client.new_dataset(labelled, "judged", SPLIT_TEST)
    await client.upload(test, [Sample(f"t{n}.jpg", jpeg(seed=3100 + n), ("cat",)) for n in range(5)])
    done = await splits.distribute(labelled)
    assert {label.label: label.test_image_count for label in done.labels} == {"cat": 5, "dog": 2}
    assert (await client.dataset(test)).labelled_image_count == 7


async def test_a_label_with_too_few_images_is_named(
    client: LabelingClient, splits: ValidationClient, labelled: str
) -> None:
    await client.upload(f"{labelled}/datasets/train", [Sample("n.jpg", jpeg(seed=3200), ("newt",))])
    with Failure(grpc.StatusCode.FAILED_PRECONDITION, "NOT_ENOUGH_DATA") as failure:
        await splits.distribute(labelled)
    assert failure.fields == ["labels['newt']"]
    assert failure.error.metadata["code"] == "ERROR_INSUFFICIENT_IMAGES_PER_LABEL_FOR_DISTRIBUTE"
    assert (await client.dataset(f"{labelled}/datasets/train")).labelled_image_count == 31
    done = await splits.distribute(labelled, allow_untested_labels=True)
    assert {label.label: label.test_image_count for label in done.labels} == {"cat": 4, "dog": 2, "newt": 0}


async def test_two_at_once_move_no_image_twice(client: LabelingClient, splits: ValidationClient, labelled: str) -> None:
    await asyncio.gather(*(splits.distribute(labelled) for _ in range(4)))
    assert await counts(client, labelled) == {"train": {"cat": 16, "dog": 8}, "test": {"cat": 4, "dog": 2}}


async def test_nonsense_is_refused(splits: ValidationClient, client: LabelingClient) -> None:
    project = await client.new_project()
    with Failure(grpc.StatusCode.FAILED_PRECONDITION, "NOT_ENOUGH_DATA"):
        await splits.distribute(project)
    with Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await splits.distribute(project, test_fraction=0.9)
    assert failure.fields == ["test_fraction"]
    with Failure(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        await splits.distribute("projects/none-such")


async def test_a_statement_can_name_more_images_than_it_has_parameters(
    client: LabelingClient, dataset: str, database: Database
) -> None:
    (answer,) = await client.upload(dataset, [Sample("0.jpg", jpeg(seed=1), ("cat",))])
    found = select(ImageRow.sequence).where(ImageRow.id == answer.image.name.rpartition("/")[2])
    async with database.transaction() as session:
        key = await session.scalar(found)
        by_key = found.where(is_one_of_keys(ImageRow.sequence, [key, *range(-70_000, 0)]))
        by_text = found.where(is_one_of_texts(ImageRow.sha256, [answer.image.sha256, *map(str, range(70_000))]))
        assert await session.scalar(by_key) == await session.scalar(by_text) == key
        assert await session.scalar(found.where(is_one_of_keys(ImageRow.sequence, []))) is None
