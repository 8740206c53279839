"""Annotations of images: labels and boxes, each with who made it."""

from collections.abc import Iterable, Iterator, Sequence

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from sightsmith.api.labeling.v1 import annotation_service_pb2 as pb
from sightsmith.api.labeling.v1.annotation_pb2 import Annotation
from sightsmith.api.labeling.v1.annotation_service_pb2_grpc import AnnotationServiceStub
from sightsmith.api.labeling.v1.image_pb2 import Image
from sightsmith.client.calls import all_pages, calling


class Annotations:
    """Labels images. Names are resource names; an `etag` is that of the image, and empty if any will do."""

    def __init__(self, channel: grpc.Channel) -> None:
        """Takes a channel to the labeling service."""
        self.stub = AnnotationServiceStub(channel)

    def create(self, image: str, annotation: Annotation, etag: str = "") -> Annotation:
        """Puts a label or a box on an image."""
        with calling():
            return self.stub.CreateAnnotation(_creation(image, annotation, etag))

    def create_all(self, dataset: str, annotations: Iterable[tuple[str, Annotation]]) -> Sequence[Annotation]:
        """Puts up to 1000 annotations on images of a dataset, all of them or none.

        Args:
            dataset: `projects/{project}/datasets/{dataset}`.
            annotations: each with the name of its image.
        """
        requests = [_creation(image, annotation) for image, annotation in annotations]
        with calling():
            return self.stub.BatchCreateAnnotations(
                pb.BatchCreateAnnotationsRequest(parent=dataset, requests=requests)
            ).annotations

    def list(self, image: str) -> Iterator[Annotation]:
        """The annotations of an image, in the order of their making."""
        return all_pages(
            lambda token: self.stub.ListAnnotations(pb.ListAnnotationsRequest(parent=image, page_token=token)),
            lambda page: page.annotations,
        )

    def update(self, annotation: Annotation, fields: Sequence[str] = ()) -> Annotation:
        """Changes what an annotation says.

        Args:
            annotation: with its name, its new values, and an etag if somebody else's edit is to stop it.
            fields: which of `label`, `box`, `origin`, `author` and `confidence`; those that are set if left out.
        """
        request = pb.UpdateAnnotationRequest(annotation=annotation, update_mask=FieldMask(paths=fields))
        with calling():
            return self.stub.UpdateAnnotation(request)

    def update_all(self, dataset: str, annotations: Iterable[Annotation]) -> Sequence[Annotation]:
        """Changes what up to 1000 annotations of a dataset's images say, all of them or none."""
        requests = [pb.UpdateAnnotationRequest(annotation=annotation) for annotation in annotations]
        with calling():
            return self.stub.BatchUpdateAnnotations(
                pb.BatchUpdateAnnotationsRequest(parent=dataset, requests=requests)
            ).annotations

    def delete(self, name: str, etag: str = "") -> None:
        """Takes an annotation off its image."""
        with calling():
            self.stub.DeleteAnnotation(pb.DeleteAnnotationRequest(name=name, etag=etag))

    def delete_all(self, dataset: str, names: Iterable[str], etag: str = "") -> None:
        """Takes up to 1000 annotations off images of a dataset, all of them or none.

        Args:
            dataset: `projects/{project}/datasets/{dataset}`.
            names: of the annotations; of one image alone, if an etag is given.
            etag: that the image must still have.
        """
        requests = [pb.DeleteAnnotationRequest(name=name, etag=etag) for name in names]
        with calling():
            self.stub.BatchDeleteAnnotations(pb.BatchDeleteAnnotationsRequest(parent=dataset, requests=requests))

    def replace(self, image: str, annotations: Iterable[Annotation], etag: str = "") -> Image:
        """Makes the annotations of an image exactly these; one that says what it said before stays as it is."""
        request = pb.ReplaceAnnotationsRequest(image=image, etag=etag, annotations=annotations)
        with calling():
            return self.stub.ReplaceAnnotations(request)


def _creation(image: str, annotation: Annotation, etag: str = "") -> pb.CreateAnnotationRequest:
    return pb.CreateAnnotationRequest(parent=image, annotation=annotation, etag=etag)
