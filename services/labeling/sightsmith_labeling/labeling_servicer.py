"""LabelingService: reads requests, calls what they are about, and converts the answers."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from sightsmith.api.labeling.v1 import labeling_service_pb2 as pb
from sightsmith.api.labeling.v1.dataset_pb2 import Dataset
from sightsmith.api.labeling.v1.image_pb2 import Image
from sightsmith.api.labeling.v1.labeling_service_pb2_grpc import LabelingServiceServicer
from sightsmith.api.labeling.v1.project_pb2 import Project
from sightsmith.api.labeling.v1.snapshot_pb2 import Snapshot
from sightsmith.errors import FailedPreconditionError
from sightsmith.names import DatasetName, ImageName, ProjectName, SnapshotName, check_id
from sightsmith.objects import Objects, image_key
from sightsmith.paging import PageRequest
from sightsmith.rpc import Context
from sightsmith_labeling.convert import (
    answer_to_proto,
    dataset_to_proto,
    image_to_proto,
    project_to_proto,
    snapshot_request_from_proto,
    snapshot_to_proto,
    split_from_proto,
    upload_parent,
    upload_parts,
)
from sightsmith_labeling.datasets import Datasets
from sightsmith_labeling.images import Images
from sightsmith_labeling.projects import Projects
from sightsmith_labeling.snapshots import Snapshots
from sightsmith_labeling.uploads.pipeline import Uploads


class LabelingServicer(LabelingServiceServicer):
    """Answers the calls of `sightsmith.api.labeling.v1.LabelingService`; the protos say what each does."""

    def __init__(
        self,
        projects: Projects,
        datasets: Datasets,
        images: Images,
        uploads: Uploads,
        snapshots: Snapshots,
        objects: Objects,
    ) -> None:
        self._projects = projects
        self._datasets = datasets
        self._images = images
        self._uploads = uploads
        self._snapshots = snapshots
        self._objects = objects

    async def CreateProject(self, request: pb.CreateProjectRequest, context: Context) -> Project:
        name = ProjectName(check_id("project_id", request.project_id))
        return project_to_proto(await self._projects.create(name, request.project.display_name))

    async def GetProject(self, request: pb.GetProjectRequest, context: Context) -> Project:
        return project_to_proto(await self._projects.get(ProjectName.parse(request.name)))

    async def ListProjects(self, request: pb.ListProjectsRequest, context: Context) -> pb.ListProjectsResponse:
        projects, token = await self._projects.list(PageRequest.parse(request.page_size, request.page_token))
        return pb.ListProjectsResponse(projects=map(project_to_proto, projects), next_page_token=token)

    async def CreateDataset(self, request: pb.CreateDatasetRequest, context: Context) -> Dataset:
        project = ProjectName.parse(request.parent, "parent")
        name = DatasetName(project.project, check_id("dataset_id", request.dataset_id))
        return dataset_to_proto(await self._datasets.create(name, split_from_proto(request.dataset.split)))

    async def GetDataset(self, request: pb.GetDatasetRequest, context: Context) -> Dataset:
        return dataset_to_proto(await self._datasets.get(DatasetName.parse(request.name)))

    async def ListDatasets(self, request: pb.ListDatasetsRequest, context: Context) -> pb.ListDatasetsResponse:
        project = ProjectName.parse(request.parent, "parent")
        page = PageRequest.parse(request.page_size, request.page_token)
        datasets, token = await self._datasets.list(project, page)
        return pb.ListDatasetsResponse(datasets=map(dataset_to_proto, datasets), next_page_token=token)

    async def UploadImages(
        self, request_iterator: AsyncIterator[pb.UploadImagesRequest], context: Context
    ) -> AsyncIterator[pb.UploadImagesResponse]:
        parts = upload_parts(request_iterator)
        dataset = await self._datasets.find(await upload_parent(parts))
        async with aclosing(self._uploads.run(dataset, parts)) as answers:
            async for answer in answers:
                yield answer_to_proto(answer)

    async def GetImage(self, request: pb.GetImageRequest, context: Context) -> Image:
        return image_to_proto(await self._images.get(ImageName.parse(request.name)))

    async def ListImages(self, request: pb.ListImagesRequest, context: Context) -> pb.ListImagesResponse:
        page = PageRequest.parse(request.page_size, request.page_token)
        dataset = await self._datasets.find(DatasetName.parse(request.parent, "parent"))
        images, token = await self._images.list(dataset, page)
        return pb.ListImagesResponse(images=map(image_to_proto, images), next_page_token=token)

    async def DownloadImage(
        self, request: pb.DownloadImageRequest, context: Context
    ) -> AsyncIterator[pb.DownloadImageResponse]:
        image = await self._images.get(ImageName.parse(request.name))
        if image.sha256 is None:
            message = f"the bytes of {image.name} are not there: the image is {image.state.value}"
            raise FailedPreconditionError(message, metadata={"state": image.state.name})
        async with aclosing(self._objects.chunks(image_key(image.sha256))) as chunks:
            async for chunk in chunks:
                yield pb.DownloadImageResponse(chunk=chunk)

    async def CreateSnapshot(self, request: pb.CreateSnapshotRequest, context: Context) -> Snapshot:
        return snapshot_to_proto(await self._snapshots.create(snapshot_request_from_proto(request)))

    async def GetSnapshot(self, request: pb.GetSnapshotRequest, context: Context) -> Snapshot:
        return snapshot_to_proto(await self._snapshots.get(SnapshotName.parse(request.name)))

    async def ListSnapshots(self, request: pb.ListSnapshotsRequest, context: Context) -> pb.ListSnapshotsResponse:
        project = ProjectName.parse(request.parent, "parent")
        page = PageRequest.parse(request.page_size, request.page_token)
        snapshots, token = await self._snapshots.list(project, page)
        return pb.ListSnapshotsResponse(snapshots=map(snapshot_to_proto, snapshots), next_page_token=token)
