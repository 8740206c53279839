"""Projects, datasets and images: what is done with them beside labelling."""

from collections.abc import Iterator, Mapping, Sequence

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from sightsmith.api.labeling.v1 import dataset_pb2, image_pb2, project_pb2
from sightsmith.api.labeling.v1 import labeling_service_pb2 as pb
from sightsmith.api.labeling.v1.labeling_service_pb2_grpc import LabelingServiceStub
from sightsmith.client.calls import all_pages, calling


class Images:
    """Finds, moves and deletes images, and keeps their projects and datasets in order. Names are resource names."""

    def __init__(self, channel: grpc.Channel) -> None:
        """Takes a channel to the labeling service."""
        self.stub = LabelingServiceStub(channel)

    def projects(self, names: Sequence[str] = ()) -> Iterator[project_pb2.Project]:
        """All projects, or those that are named, ordered by id."""
        return all_pages(
            lambda token: self.stub.ListProjects(pb.ListProjectsRequest(names=names, page_token=token)),
            lambda page: page.projects,
        )

    def update_project(
        self, name: str, *, display_name: str | None = None, tags: Mapping[str, str] | None = None
    ) -> project_pb2.Project:
        """Changes what a project is called, its tags, or both; what is None stays."""
        paths = [path for path, value in (("display_name", display_name), ("tags", tags)) if value is not None]
        project = project_pb2.Project(name=name, display_name=display_name or "", tags=tags)
        with calling():
            return self.stub.UpdateProject(pb.UpdateProjectRequest(project=project, update_mask=FieldMask(paths=paths)))

    def delete_project(self, name: str, force: bool = False) -> None:
        """Deletes a project; with `force` its datasets and snapshots too."""
        with calling():
            self.stub.DeleteProject(pb.DeleteProjectRequest(name=name, force=force))

    def create_dataset(self, project: str, dataset_id: str, split: dataset_pb2.Split.ValueType) -> dataset_pb2.Dataset:
        """Creates the dataset of a split; a project has one of each."""
        dataset = dataset_pb2.Dataset(split=split)
        request = pb.CreateDatasetRequest(parent=project, dataset_id=dataset_id, dataset=dataset)
        with calling():
            return self.stub.CreateDataset(request)

    def dataset(self, name: str) -> dataset_pb2.Dataset:
        """A dataset with its counts."""
        with calling():
            return self.stub.GetDataset(pb.GetDatasetRequest(name=name))

    def delete_dataset(self, name: str, force: bool = False) -> None:
        """Deletes a dataset; with `force` its images too."""
        with calling():
            self.stub.DeleteDataset(pb.DeleteDatasetRequest(name=name, force=force))

    def get(self, name: str) -> image_pb2.Image:
        """An image with its annotations."""
        with calling():
            return self.stub.GetImage(pb.GetImageRequest(name=name))

    def get_all(self, dataset: str, names: Sequence[str]) -> Sequence[image_pb2.Image]:
        """Up to 1000 images of a dataset, in the order of their names."""
        with calling():
            return self.stub.BatchGetImages(pb.BatchGetImagesRequest(parent=dataset, names=names)).images

    def list(self, dataset: str, wanted: pb.ImageFilter | None = None, order_by: str = "") -> Iterator[image_pb2.Image]:
        """The images of a dataset.

        Args:
            dataset: `projects/{project}/datasets/{dataset}`.
            wanted: which images; all if left out.
            order_by: `create_time` (the default), `create_time desc`, `source` or `source desc`.
        """
        return all_pages(
            lambda token: self.stub.ListImages(
                pb.ListImagesRequest(parent=dataset, filter=wanted, order_by=order_by, page_token=token)
            ),
            lambda page: page.images,
        )

    def update_source(self, name: str, source: str, etag: str = "") -> image_pb2.Image:
        """Changes where an image is said to come from."""
        image = image_pb2.Image(name=name, source=source, etag=etag)
        request = pb.UpdateImageRequest(image=image, update_mask=FieldMask(paths=["source"]))
        with calling():
            return self.stub.UpdateImage(request)

    def move(self, dataset: str, names: Sequence[str], destination: str) -> Sequence[image_pb2.Image]:
        """Moves up to 1000 images to another dataset of their project; returns them under their new names."""
        request = pb.MoveImagesRequest(parent=dataset, names=names, destination=destination)
        with calling():
            return self.stub.MoveImages(request).images

    def delete(self, dataset: str, names: Sequence[str]) -> None:
        """Deletes up to 1000 images of a dataset, all of them or none."""
        with calling():
            self.stub.BatchDeleteImages(pb.BatchDeleteImagesRequest(parent=dataset, names=names))
