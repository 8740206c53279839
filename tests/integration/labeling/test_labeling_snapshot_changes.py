"""What is different between two snapshots, and bringing a project back to one."""

import asyncio

import pytest
from grpc import StatusCode

from sightsmith.api.labeling.v1 import annotation_service_pb2
from sightsmith.api.labeling.v1 import labeling_service_pb2 as pb
from sightsmith.api.labeling.v1 import snapshot_service_pb2 as snapshot_pb
from sightsmith.api.labeling.v1.annotation_pb2 import Annotation, BoundingBox
from sightsmith.api.labeling.v1.annotation_service_pb2_grpc import AnnotationServiceStub
from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TEST, SPLIT_TRAIN
from sightsmith.api.labeling.v1.image_pb2 import Image
from sightsmith.api.labeling.v1.snapshot_pb2 import AutoSplit, Snapshot
from sightsmith.api.labeling.v1.snapshot_service_pb2 import ImageDifference

from .labeling_client import Failure, LabelingClient, Sample
from .sample_images import jpeg

BOX = Annotation(label="wheel", box=BoundingBox(left=1, top=2.25, width=10, height=7.5))
OTHER_BOX = Annotation(label="wheel", box=BoundingBox(left=20, top=2, width=10, height=7))


class Project:
    """A project with six training and two test images, and a client of it."""

    def __init__(self, client: LabelingClient, train: str, test: str, images: list[Image]) -> None:
        self.client = client
        self.name = train.partition("/datasets/")[0]
        self.train, self.test = train, test
        self.images = images
        self._annotations = AnnotationServiceStub(client.channel)

    @classmethod
    async def make(cls, client: LabelingClient) -> "Project":
        train = await client.new_dataset()
        test = await client.new_dataset(train.partition("/datasets/")[0], "test", SPLIT_TEST)
        answers = await client.upload(train, [Sample(f"{seed}.jpg", jpeg(seed)) for seed in range(6)])
        answers += await client.upload(test, [Sample(f"{seed}.jpg", jpeg(seed), ("dog",)) for seed in (6, 7)])
        self = cls(client, train, test, [answer.image for answer in answers])
        self.images[0] = await self.annotate(self.images[0], Annotation(label="cat"), BOX)
        return self

    async def annotate(self, image: Image, *annotations: Annotation) -> Image:
        request = annotation_service_pb2.ReplaceAnnotationsRequest(image=image.name, annotations=annotations)
        return await self._annotations.ReplaceAnnotations(request, metadata=self.client.metadata)

    async def delete(self, image: Image) -> None:
        await self.client.stub.DeleteImage(pb.DeleteImageRequest(name=image.name), metadata=self.client.metadata)

    async def move(self, image: Image, source: str, destination: str) -> None:
        request = pb.MoveImagesRequest(parent=source, names=[image.name], destination=destination)
        await self.client.stub.MoveImages(request, metadata=self.client.metadata)

    async def image(self, image: Image) -> Image:
        return await self.client.stub.GetImage(pb.GetImageRequest(name=image.name), metadata=self.client.metadata)

    async def all_images(self) -> list[Image]:
        return [image for dataset in (self.train, self.test) for image in await self.images_of(dataset)]

    async def images_of(self, dataset: str) -> list[Image]:
        request = pb.ListImagesRequest(parent=dataset)
        return [*(await self.client.stub.ListImages(request, metadata=self.client.metadata)).images]

    async def take(self, **fields: object) -> Snapshot:
        request = snapshot_pb.CreateSnapshotRequest(parent=self.name, **fields)  # type: ignore[arg-type]
        return await self.client.snapshots.CreateSnapshot(request, metadata=self.client.metadata)

    async def restore(self, snapshot: Snapshot, validate_only: bool = False) -> snapshot_pb.RestoreSnapshotResponse:
        request = snapshot_pb.RestoreSnapshotRequest(name=snapshot.name, validate_only=validate_only)
        return await self.client.snapshots.RestoreSnapshot(request, metadata=self.client.metadata)

    async def diff(
        self, base: Snapshot, other: Snapshot, counts_only: bool = False
    ) -> tuple[list[ImageDifference], snapshot_pb.SnapshotDifferenceCounts]:
        request = snapshot_pb.DiffSnapshotsRequest(base=base.name, other=other.name, counts_only=counts_only)
        call = self.client.snapshots.DiffSnapshots(request, metadata=self.client.metadata)
        *differences, last = [answer async for answer in call]
        return [answer.difference for answer in differences], last.counts


@pytest.fixture
async def project(client: LabelingClient) -> Project:
    return await Project.make(client)


def contents(image: Image) -> set[tuple[str, float | None]]:
    return {
        (annotation.label, annotation.box.left if annotation.HasField("box") else None)
        for annotation in image.annotations
    }


def counts(**numbers: int) -> snapshot_pb.RestoreSnapshotResponse:
    return snapshot_pb.RestoreSnapshotResponse(**{f"{what}_image_count": number for what, number in numbers.items()})


async def disturb(project: Project) -> None:
    """Does to the project everything that a person can do to it."""
    boxed, relabelled, deleted, moved, cleared, *_ = project.images
    await project.annotate(boxed, Annotation(label="cat"), OTHER_BOX)
    await project.annotate(relabelled, Annotation(label="lion"))
    await project.delete(deleted)
    await project.move(moved, project.train, project.test)
    await project.annotate(cleared)
    await project.client.upload(project.train, [Sample("new.jpg", jpeg(20)), Sample("plain.jpg", jpeg(21), ())])


async def test_a_diff_tells_every_image_that_differs(project: Project) -> None:
    base = await project.take()
    await disturb(project)
    other = await project.take()
    differences, numbers = await project.diff(base, other)
    assert [found.sha256 for found in differences] == sorted(found.sha256 for found in differences)
    by_source = {found.source: found for found in differences}
    assert by_source.keys() == {"0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg", "new.jpg"}
    boxed, relabelled, moved = by_source["0.jpg"], by_source["1.jpg"], by_source["3.jpg"]
    assert [found.box.left for found in boxed.added_boxes] == [20]
    assert [found.box.left for found in boxed.removed_boxes] == [1]
    assert (list(boxed.added_labels), list(boxed.removed_labels)) == ([], [])
    assert (list(relabelled.added_labels), list(relabelled.removed_labels)) == (["lion"], ["cat"])
    assert (moved.base_split, moved.other_split) == (SPLIT_TRAIN, SPLIT_TEST)
    assert by_source["2.jpg"].kind == by_source["4.jpg"].kind == ImageDifference.KIND_REMOVED
    assert by_source["new.jpg"].kind == ImageDifference.KIND_ADDED
    assert numbers == snapshot_pb.SnapshotDifferenceCounts(
        added_image_count=1,
        removed_image_count=2,
        changed_image_count=3,
        moved_image_count=1,
        unchanged_image_count=3,
    )
    assert await project.diff(base, other, counts_only=True) == ([], numbers)
    assert await project.diff(base, base) == ([], snapshot_pb.SnapshotDifferenceCounts(unchanged_image_count=8))


async def test_a_restored_project_gives_the_same_snapshot(project: Project) -> None:
    snapshot = await project.take()
    await disturb(project)
    wanted = counts(returned=1, moved=1, changed=3, unchanged=3, cleared=1)
    assert await project.restore(snapshot, validate_only=True) == wanted
    assert (await project.take()).manifest_sha256 != snapshot.manifest_sha256
    assert await project.restore(snapshot) == wanted
    assert (await project.take()).manifest_sha256 == snapshot.manifest_sha256
    assert await project.restore(snapshot) == counts(unchanged=8)
    statistics = [await project.client.dataset(dataset) for dataset in (project.train, project.test)]
    assert [found.image_count for found in statistics] == [8, 2]
    assert [found.labelled_image_count for found in statistics] == [6, 2]
    assert {count.label: (count.image_count, count.box_count) for count in statistics[0].label_counts} == {
        "cat": (6, 0),
        "wheel": (1, 1),
    }


async def test_what_comes_back_is_as_it_was(project: Project) -> None:
    snapshot = await project.take()
    before = {image.name: image for image in await project.all_images()}
    await disturb(project)
    await project.restore(snapshot)
    after = {image.name: image for image in await project.all_images()}
    assert before.keys() < after.keys()
    for name, image in before.items():
        restored = after[name]
        assert (restored.sha256, restored.source, contents(restored)) == (image.sha256, image.source, contents(image))
        assert (restored.width, restored.height, restored.media_type) == (image.width, image.height, "image/jpeg")
        assert restored.size_bytes == image.size_bytes
    deleted = after[project.images[2].name]
    assert [annotation.author for annotation in deleted.annotations] == [snapshot.name]
    assert await project.client.download(deleted.name) == jpeg(2)
    # What never went away keeps who made it, and when.
    assert after[project.images[5].name].annotations == before[project.images[5].name].annotations
    new = [image for image in after.values() if image.name not in before]
    assert [(image.source, list(image.annotations)) for image in sorted(new, key=lambda image: image.source)] == [
        ("new.jpg", []),
        ("plain.jpg", []),
    ]


async def test_every_image_may_be_gone(project: Project) -> None:
    snapshot = await project.take()
    for dataset in (project.train, project.test):
        request = pb.DeleteDatasetRequest(name=dataset, force=True)
        await project.client.stub.DeleteDataset(request, metadata=project.client.metadata)
    assert await project.restore(snapshot) == counts(returned=8)
    assert (await project.take()).manifest_sha256 == snapshot.manifest_sha256


async def test_a_dataset_of_another_name_is_in_the_way(project: Project) -> None:
    snapshot = await project.take()
    request = pb.DeleteDatasetRequest(name=project.test, force=True)
    await project.client.stub.DeleteDataset(request, metadata=project.client.metadata)
    await project.client.new_dataset(project.name, "held-out", SPLIT_TEST)
    with Failure(StatusCode.FAILED_PRECONDITION, "WRONG_STATE") as failure:
        await project.restore(snapshot)
    assert failure.error.metadata == {"name": project.test}
    assert {image.name for image in await project.images_of(project.train)} == {
        image.name for image in project.images if image.name.startswith(project.train)
    }


async def test_an_image_that_came_again_is_the_same_image(project: Project) -> None:
    snapshot = await project.take()
    await project.delete(project.images[1])
    (again,) = await project.client.upload(project.train, [Sample("again.jpg", jpeg(1), ("tiger",))])
    assert again.image.name != project.images[1].name
    assert await project.restore(snapshot) == counts(moved=1, unchanged=7)
    restored = await project.image(project.images[1])
    assert (restored.source, contents(restored)) == ("1.jpg", {("cat", None)})
    assert (await project.take()).manifest_sha256 == snapshot.manifest_sha256


async def test_an_automatic_split_comes_back_too(client: LabelingClient, dataset: str) -> None:
    project = Project(client, dataset, dataset, [])
    samples = [Sample(f"{seed}.jpg", jpeg(seed), ("cat" if seed % 2 else "dog",)) for seed in range(10)]
    answers = await client.upload(dataset, samples)
    snapshot = await project.take(auto_split=AutoSplit(seed=3))
    assert snapshot.test_image_count == 2
    for answer in answers[:4]:
        await project.delete(answer.image)
    assert await project.restore(snapshot) == counts(returned=4, unchanged=6)
    assert (await project.take(auto_split=AutoSplit(seed=3))).manifest_sha256 == snapshot.manifest_sha256


async def test_unlabelled_images_are_taken_where_that_is_asked_for(project: Project) -> None:
    await project.client.upload(project.train, [Sample("plain.jpg", jpeg(30), ())])
    without, with_unlabelled = await project.take(), await project.take(include_unlabelled=True)
    assert (without.train_image_count, without.includes_unlabelled) == (6, False)
    assert (with_unlabelled.train_image_count, with_unlabelled.unlabelled_image_count) == (7, 1)
    assert with_unlabelled.includes_unlabelled
    _, numbers = await project.diff(without, with_unlabelled)
    assert (numbers.added_image_count, numbers.unchanged_image_count) == (1, 8)


async def test_edits_during_a_restoration_are_not_lost_or_torn(project: Project) -> None:
    """Whoever comes first, the counts add up, and a last restoration finds everything as if nothing had been."""
    snapshot = await project.take()

    async def edit(image: Image, label: str) -> None:
        await project.annotate(image, Annotation(label=label))

    edits = [edit(image, f"label {number}") for number in range(3) for image in project.images]
    restorations = [project.restore(snapshot) for _ in range(3)]
    await asyncio.gather(*edits, *restorations)
    images = await project.all_images()
    assert len(images) == 8
    found = [await project.client.dataset(dataset) for dataset in (project.train, project.test)]
    labels = [label for image in images for label in {annotation.label for annotation in image.annotations}]
    assert sum(count.image_count for dataset in found for count in dataset.label_counts) == len(labels)
    assert await project.restore(snapshot) is not None
    assert (await project.take()).manifest_sha256 == snapshot.manifest_sha256


async def test_only_snapshots_of_one_project_can_be_compared(project: Project, client: LabelingClient) -> None:
    other = await Project.make(client)
    mine, theirs = await project.take(), await other.take()
    with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await project.diff(mine, theirs)
    assert failure.fields == ["other"]
    missing = Snapshot(name=f"{project.name}/snapshots/99")
    for call in (project.diff(mine, missing), project.restore(missing)):
        with Failure(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await call
