"""LabelingService: reads requests, calls what they are about, and converts the answers."""

from collections.abc import AsyncIterator, Sequence, Sized
from contextlib import aclosing

from google.protobuf.empty_pb2 import Empty

from sightsmith.api.labeling.v1 import labeling_service_pb2 as pb
from sightsmith.api.labeling.v1.dataset_pb2 import Dataset
from sightsmith.api.labeling.v1.image_pb2 import Image
from sightsmith.api.labeling.v1.labeling_service_pb2_grpc import LabelingServiceServicer
from sightsmith.api.labeling.v1.project_pb2 import Project
from sightsmith.errors import FailedPreconditionError, InvalidArgumentError
from sightsmith.names import DatasetName, ImageName, ProjectName, check_id
from sightsmith.objects import Objects, image_key
from sightsmith.paging import PageRequest
from sightsmith.rpc import Context
from sightsmith.rpc.update_masks import updated_fields
from sightsmith_labeling.convert import (
    dataset_to_proto,
    image_filter_from_proto,
    image_order_from_proto,
    image_to_proto,
    project_to_proto,
    split_from_proto,
)
from sightsmith_labeling.datasets import Datasets
from sightsmith_labeling.image_keeping import ImageKeeping
from sightsmith_labeling.images import Image as StoredImage
from sightsmith_labeling.images import Images
from sightsmith_labeling.intake import Intake
from sightsmith_labeling.projects import Projects
from sightsmith_labeling.uploads.convert import answer_to_proto, upload_parent, upload_parts
from sightsmith_labeling.uploads.pipeline import Uploads


class LabelingServicer(LabelingServiceServicer):
    """Answers the calls of `sightsmith.api.labeling.v1.LabelingService`; the protos say what each does."""

    def __init__(
        self,
        projects: Projects,
        datasets: Datasets,
        images: Images,
        image_keeping: ImageKeeping,
        uploads: Uploads,
        intake: Intake,
        objects: Objects,
        max_batch_size: int,
    ) -> None:
        self._projects = projects
        self._datasets = datasets
        self._images = images
        self._image_keeping = image_keeping
        self._max_batch_size = max_batch_size
        self._uploads = uploads
        self._intake = intake
        self._objects = objects

    async def CreateProject(self, request: pb.CreateProjectRequest, context: Context) -> Project:
        name = ProjectName(check_id("project_id", request.project_id))
        project = request.project
        return project_to_proto(await self._projects.create(name, project.display_name, project.tags))

    async def GetProject(self, request: pb.GetProjectRequest, context: Context) -> Project:
        return project_to_proto(await self._projects.get(ProjectName.parse(request.name)))

    async def ListProjects(self, request: pb.ListProjectsRequest, context: Context) -> pb.ListProjectsResponse:
        self._check_size("names", request.names)
        names = [ProjectName.parse(name, f"names[{place}]") for place, name in enumerate(request.names)]
        projects, token = await self._projects.list(PageRequest.parse(request.page_size, request.page_token), names)
        return pb.ListProjectsResponse(projects=map(project_to_proto, projects), next_page_token=token)

    async def UpdateProject(self, request: pb.UpdateProjectRequest, context: Context) -> Project:
        project = request.project
        fields = updated_fields(project, request.update_mask, ["display_name", "tags"])
        updated = await self._projects.update(
            ProjectName.parse(project.name, "project.name"),
            display_name=project.display_name if "display_name" in fields else None,
            tags=project.tags if "tags" in fields else None,
        )
        return project_to_proto(updated)

    async def DeleteProject(self, request: pb.DeleteProjectRequest, context: Context) -> Empty:
        await self._projects.delete(ProjectName.parse(request.name), request.force)
        return Empty()

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

    async def DeleteDataset(self, request: pb.DeleteDatasetRequest, context: Context) -> Empty:
        await self._datasets.delete(DatasetName.parse(request.name), request.force)
        return Empty()

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
        wanted, order = image_filter_from_proto(request.filter), image_order_from_proto(request.order_by)
        dataset = await self._datasets.find(DatasetName.parse(request.parent, "parent"))
        images, token = await self._images.list(dataset, page, wanted, order)
        return pb.ListImagesResponse(images=map(image_to_proto, images), next_page_token=token)

    async def BatchGetImages(self, request: pb.BatchGetImagesRequest, context: Context) -> pb.BatchGetImagesResponse:
        dataset = DatasetName.parse(request.parent, "parent")
        images = await self._images.get_all(ProjectName(dataset.project), self._images_of(dataset, request.names))
        return pb.BatchGetImagesResponse(images=map(image_to_proto, images))

    async def UpdateImage(self, request: pb.UpdateImageRequest, context: Context) -> Image:
        name = ImageName.parse(request.image.name, "image.name")
        if "source" not in updated_fields(request.image, request.update_mask, ["source"]):
            return image_to_proto(await self._images.get(name))
        return image_to_proto(await self._image_keeping.update_source(name, request.image.source, request.image.etag))

    async def MoveImages(self, request: pb.MoveImagesRequest, context: Context) -> pb.MoveImagesResponse:
        dataset = DatasetName.parse(request.parent, "parent")
        destination = DatasetName.parse(request.destination, "destination")
        if destination.project != dataset.project or destination == dataset:
            raise InvalidArgumentError.of_field("destination", f"must be another dataset of the project of {dataset}")
        names = self._images_of(dataset, request.names)
        images = await self._image_keeping.move(names, await self._datasets.find(destination))
        return pb.MoveImagesResponse(images=map(image_to_proto, images))

    async def DeleteImage(self, request: pb.DeleteImageRequest, context: Context) -> Empty:
        name = ImageName.parse(request.name)
        await self._image_keeping.delete([name], {name: request.etag})
        return Empty()

    async def BatchDeleteImages(self, request: pb.BatchDeleteImagesRequest, context: Context) -> Empty:
        dataset = DatasetName.parse(request.parent, "parent")
        await self._image_keeping.delete(self._images_of(dataset, request.names))
        return Empty()

    async def DownloadImage(
        self, request: pb.DownloadImageRequest, context: Context
    ) -> AsyncIterator[pb.DownloadImageResponse]:
        image = await self._images.get(ImageName.parse(request.name))
        async with aclosing(self._objects.chunks(image_key(_sha256_of(image)))) as chunks:
            async for chunk in chunks:
                yield pb.DownloadImageResponse(chunk=chunk)

    async def DownloadThumbnail(
        self, request: pb.DownloadThumbnailRequest, context: Context
    ) -> pb.DownloadThumbnailResponse:
        image = await self._images.get(ImageName.parse(request.name))
        return pb.DownloadThumbnailResponse(jpeg=await self._intake.thumbnail(_sha256_of(image)))

    def _images_of(self, dataset: DatasetName, names: Sequence[str]) -> Sequence[ImageName]:
        """Reads the names of images that must all be in one dataset."""
        self._check_size("names", names)
        images = [ImageName.parse(name, f"names[{place}]") for place, name in enumerate(names)]
        for place, image in enumerate(images):
            if DatasetName(image.project, image.dataset) != dataset:
                raise InvalidArgumentError.of_field(f"names[{place}]", f"must be in {dataset}, not {image}")
        return images

    def _check_size(self, field: str, items: Sized) -> None:
        if len(items) > self._max_batch_size:
            raise InvalidArgumentError.of_field(field, f"must be at most {self._max_batch_size}, not {len(items)}")


def _sha256_of(image: StoredImage) -> str:
    if image.sha256 is None:
        message = f"the bytes of {image.name} are not there: the image is {image.state.value}"
        raise FailedPreconditionError(message, metadata={"state": image.state.name})
    return image.sha256
