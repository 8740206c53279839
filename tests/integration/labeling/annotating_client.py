"""Short ways to annotate, as the tests of labels, annotations and lists need them."""

from collections.abc import Sequence
from typing import Any

from sightsmith.api.labeling.v1 import annotation_service_pb2 as pb
from sightsmith.api.labeling.v1 import change_service_pb2, label_service_pb2, labeling_service_pb2
from sightsmith.api.labeling.v1.annotation_pb2 import Annotation, BoundingBox
from sightsmith.api.labeling.v1.annotation_service_pb2_grpc import AnnotationServiceStub
from sightsmith.api.labeling.v1.change_service_pb2_grpc import ChangeServiceStub
from sightsmith.api.labeling.v1.image_pb2 import Image
from sightsmith.api.labeling.v1.label_pb2 import Label
from sightsmith.api.labeling.v1.label_service_pb2_grpc import LabelServiceStub

from .labeling_client import LabelingClient, Sample
from .sample_images import jpeg


class AnnotatingClient:
    """Calls the services of annotations, labels and changes on the channel of another client."""

    def __init__(self, client: LabelingClient, actor: str = "") -> None:
        self.client = client
        self.metadata = (*client.metadata, *((("x-sightsmith-actor", actor),) if actor else ()))
        self.annotations = AnnotationServiceStub(client.channel)
        self.labels = LabelServiceStub(client.channel)
        self.changes = ChangeServiceStub(client.channel)

    async def images(self, dataset: str, *labels: Sequence[str], first: int = 0) -> list[str]:
        """Uploads an image for each set of labels, and returns their names."""
        samples = [
            Sample(f"{place:03d}.jpg", jpeg(place), tuple(names)) for place, names in enumerate(labels, start=first)
        ]
        return [answer.image.name for answer in await self.client.upload(dataset, samples)]

    async def image(self, name: str) -> Image:
        request = labeling_service_pb2.GetImageRequest(name=name)
        return await self.client.stub.GetImage(request, metadata=self.metadata)

    async def add(self, image: str, label: str, box: Sequence[float] = (), etag: str = "", **fields: Any) -> Annotation:
        request = pb.CreateAnnotationRequest(parent=image, annotation=annotation(label, box, **fields), etag=etag)
        return await self.annotations.CreateAnnotation(request, metadata=self.metadata)

    async def replace(self, image: str, *annotations: Annotation, etag: str = "") -> Image:
        request = pb.ReplaceAnnotationsRequest(image=image, annotations=annotations, etag=etag)
        return await self.annotations.ReplaceAnnotations(request, metadata=self.metadata)

    async def label(self, project: str, display_name: str) -> Label:
        request = label_service_pb2.ListLabelsRequest(parent=project, display_names=[display_name])
        (label,) = (await self.labels.ListLabels(request, metadata=self.metadata)).labels
        return label

    async def label_counts(self, project: str) -> dict[str, list[tuple[int, int]]]:
        """Images and boxes of each label, for each split."""
        request = label_service_pb2.ListLabelsRequest(parent=project)
        labels = (await self.labels.ListLabels(request, metadata=self.metadata)).labels
        return {
            label.display_name: [(count.image_count, count.box_count) for count in label.split_counts]
            for label in labels
        }

    async def trail(self, project: str, **fields: Any) -> list[change_service_pb2.Change]:
        request = change_service_pb2.ListChangesRequest(parent=project, **fields)
        return list((await self.changes.ListChanges(request, metadata=self.metadata)).changes)


def annotation(label: str, box: Sequence[float] = (), **fields: Any) -> Annotation:
    left, top, width, height = box or (0, 0, 0, 0)
    placed = BoundingBox(left=left, top=top, width=width, height=height) if box else None
    return Annotation(label=label, box=placed, **fields)


def said(image: Image) -> list[tuple[str, tuple[float, ...]]]:
    """What is annotated on an image: labels, and boxes as left, top, width, height."""
    return [
        (one.label, (one.box.left, one.box.top, one.box.width, one.box.height) if one.HasField("box") else ())
        for one in image.annotations
    ]
