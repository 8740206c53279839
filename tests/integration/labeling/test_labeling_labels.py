"""Labels of a project: renaming, merging and deleting them, also while others label."""

import asyncio

import grpc
import pytest
from grpc import StatusCode

from sightsmith.api.labeling.v1 import label_service_pb2 as pb
from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TEST, SPLIT_TRAIN
from sightsmith.api.labeling.v1.label_pb2 import Label
from sightsmith.rpc.channel import error_of
from tests.integration.conftest import TOKEN

from .annotating_client import AnnotatingClient, annotation, said
from .conftest import MakeProcess
from .labeling_client import Failure, LabelingClient


@pytest.fixture
def ann(client: LabelingClient) -> AnnotatingClient:
    return AnnotatingClient(client, actor="ann")


async def create(ann: AnnotatingClient, project: str, display_name: str) -> Label:
    request = pb.CreateLabelRequest(parent=project, label=Label(display_name=display_name))
    return await ann.labels.CreateLabel(request, metadata=ann.metadata)


async def rename(ann: AnnotatingClient, label: Label, display_name: str) -> Label:
    request = pb.UpdateLabelRequest(label=Label(name=label.name, display_name=display_name))
    return await ann.labels.UpdateLabel(request, metadata=ann.metadata)


async def merge(ann: AnnotatingClient, label: Label, into: Label) -> Label:
    request = pb.MergeLabelRequest(name=label.name, into=into.name)
    return await ann.labels.MergeLabel(request, metadata=ann.metadata)


async def delete(ann: AnnotatingClient, label: Label, force: bool = False) -> None:
    await ann.labels.DeleteLabel(pb.DeleteLabelRequest(name=label.name, force=force), metadata=ann.metadata)


async def test_a_label_is_there_before_any_image_carries_it(ann: AnnotatingClient, dataset: str, project: str) -> None:
    created = await create(ann, project, "Größe 🐻")
    assert [(count.split, count.image_count) for count in created.split_counts] == [(SPLIT_TRAIN, 0)]
    assert await ann.labels.GetLabel(pb.GetLabelRequest(name=created.name), metadata=ann.metadata) == created
    await ann.images(dataset, ["Größe 🐻"])
    assert (await ann.label(project, "Größe 🐻")).name == created.name
    with Failure(StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS") as failure:
        await create(ann, project, "Größe 🐻")
    assert failure.error.metadata == {"name": created.name}
    with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await create(ann, project, "a\nb")
    assert failure.fields == ["label.display_name"]
    with Failure(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await create(ann, "projects/nowhere", "x")


async def test_labels_come_in_pages_with_their_counts(ann: AnnotatingClient, dataset: str, project: str) -> None:
    test = await ann.client.new_dataset(project, "test", SPLIT_TEST)
    await ann.images(dataset, ["b", "a"], ["a"], ["c\u200d"])
    (name,) = await ann.images(test, ["a"], first=10)
    await ann.add(name, "b", (0, 0, 1, 1))
    await ann.add(name, "b", (0, 0, 2, 2))
    assert await ann.label_counts(project) == {
        "a": [(2, 0), (1, 0)],
        "b": [(1, 0), (1, 2)],
        "c\u200d": [(1, 0), (0, 0)],
    }
    found, request = [], pb.ListLabelsRequest(parent=project, page_size=1)
    while True:
        page = await ann.labels.ListLabels(request, metadata=ann.metadata)
        found += [label.display_name for label in page.labels]
        if not (token := page.next_page_token):
            break
        request.page_token = token
    assert found == ["a", "b", "c\u200d"]


async def test_renaming_reaches_every_image(ann: AnnotatingClient, dataset: str, project: str) -> None:
    names = await ann.images(dataset, ["cat"], ["cat", "dog"])
    cat, dog = await ann.label(project, "cat"), await ann.label(project, "dog")
    assert (await rename(ann, cat, "lion")).display_name == "lion"
    assert [list((await ann.image(name)).labels) for name in names] == [["lion"], ["dog", "lion"]]
    with Failure(StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS") as failure:
        await rename(ann, cat, "dog")
    assert failure.error.metadata == {"name": dog.name}
    assert await ann.label_counts(project) == {"lion": [(2, 0)], "dog": [(1, 0)]}


async def test_merging_moves_annotations_and_folds_what_says_the_same(
    ann: AnnotatingClient, dataset: str, project: str
) -> None:
    names = await ann.images(dataset, ["cat"], ["cat", "kitten"], ["dog"])
    for label, box in (("kitten", (1, 1, 2, 2)), ("cat", (1, 1, 2, 2)), ("kitten", (5, 5, 2, 2))):
        await ann.add(names[1], label, box)
    before = [await ann.image(name) for name in names]
    merged = await merge(ann, await ann.label(project, "kitten"), await ann.label(project, "cat"))
    assert [(count.image_count, count.box_count) for count in merged.split_counts] == [(2, 2)]
    after = [await ann.image(name) for name in names]
    assert after[0] == before[0]
    assert after[2] == before[2]
    assert said(after[1]) == [("cat", ()), ("cat", (1, 1, 2, 2)), ("cat", (5, 5, 2, 2))]
    assert [one.name.rpartition("/")[2] for one in after[1].annotations] == ["1", "3", "5"]
    assert after[1].etag != before[1].etag
    assert await ann.label_counts(project) == {"cat": [(2, 2)], "dog": [(1, 0)]}
    with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await merge(ann, merged, merged)
    assert failure.fields == ["into"]


async def test_a_label_in_use_is_not_deleted_unless_forced(ann: AnnotatingClient, dataset: str, project: str) -> None:
    names = await ann.images(dataset, ["cat", "dog"], ["cat"])
    cat = await ann.label(project, "cat")
    with Failure(StatusCode.FAILED_PRECONDITION, "IN_USE") as failure:
        await delete(ann, cat)
    assert failure.error.metadata == {"name": cat.name}
    await delete(ann, cat, force=True)
    assert [said(await ann.image(name)) for name in names] == [[("dog", ())], []]
    assert await ann.label_counts(project) == {"dog": [(1, 0)]}
    assert (await ann.client.dataset(dataset)).labelled_image_count == 1
    with Failure(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await delete(ann, cat)
    await delete(ann, await create(ann, project, "unused"))


@pytest.mark.parametrize("name", ["0", "01", "x", "9" * 30, "12345678901"])
async def test_what_is_no_label_is_not_found(ann: AnnotatingClient, project: str, name: str) -> None:
    with Failure(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await ann.labels.GetLabel(pb.GetLabelRequest(name=f"{project}/labels/{name}"), metadata=ann.metadata)


async def test_labelling_goes_on_while_labels_are_merged_and_deleted(
    ann: AnnotatingClient, dataset: str, project: str
) -> None:
    """Labels come and go under people who use them; nobody sees an error or a label that is not there."""
    names = await ann.images(dataset, *[["base"] for _ in range(6)])
    base = await ann.label(project, "base")

    async def label(number: int) -> None:
        for step in range(10):
            await ann.add(names[(number + step) % 6], "passing", (number, step, 1, 1))
            await ann.image(names[step % 6])

    async def upset() -> None:
        for turn in range(8):
            try:
                passing = await create(ann, project, "passing")
            except grpc.RpcError as error:
                if error_of(error).reason != "ALREADY_EXISTS":
                    raise
                passing = await ann.label(project, "passing")
            await (delete(ann, passing, force=True) if turn % 2 else merge(ann, passing, base))

    await asyncio.gather(*map(label, range(4)), upset())
    images = [await ann.image(name) for name in names]
    boxes = sum(one.HasField("box") for image in images for one in image.annotations)
    counted = await ann.label_counts(project)
    assert sum(count[0][1] for count in counted.values()) == boxes
    assert counted["base"][0][0] == 6


async def test_a_project_has_no_more_labels_than_it_may(make_process: MakeProcess) -> None:
    process = make_process({"SIGHTSMITH_MAX_LABELS_PER_PROJECT": "2", "SIGHTSMITH_MAX_BOXES_PER_IMAGE": "1"})
    process.start()
    few = LabelingClient(process.target, TOKEN)
    async with few.channel:
        ann = AnnotatingClient(few)
        dataset = await few.new_dataset()
        (name,) = await ann.images(dataset, ["a"])
        await create(ann, dataset.partition("/datasets/")[0], "b")
        for third in (
            create(ann, dataset.partition("/datasets/")[0], "c"),
            ann.replace(name, annotation("c")),
        ):
            with Failure(StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED") as failure:
                await third
            assert failure.error.metadata == {"limit": "2"}
        with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
            await ann.replace(name, annotation("a", (0, 0, 1, 1)), annotation("a", (0, 0, 2, 2)))
        assert failure.fields == ["annotations"]
        assert said(await ann.image(name)) == [("a", ())]
