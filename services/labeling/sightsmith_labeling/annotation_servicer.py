"""AnnotationService: reads requests, calls what they are about, and converts the answers."""

from collections.abc import Mapping, Sequence, Sized
from typing import Any

from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask

from sightsmith.api.labeling.v1 import annotation_service_pb2 as pb
from sightsmith.api.labeling.v1.annotation_pb2 import Annotation
from sightsmith.api.labeling.v1.annotation_service_pb2_grpc import AnnotationServiceServicer
from sightsmith.api.labeling.v1.image_pb2 import Image
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import AnnotationName, DatasetName, ImageName, ProjectName
from sightsmith.paging import PageRequest
from sightsmith.rpc import Context
from sightsmith.rpc.update_masks import updated_fields
from sightsmith_labeling.annotating import (
    AnnotationEdit,
    Annotations,
    PlacedAnnotation,
    creation,
    deletion,
    update,
)
from sightsmith_labeling.convert import annotation_to_proto, image_to_proto, new_annotation_from_proto
from sightsmith_labeling.images import etag_of

_UPDATABLE = ("label", "box", "origin", "author", "confidence")


class AnnotationServicer(AnnotationServiceServicer):
    """Answers the calls of `sightsmith.api.labeling.v1.AnnotationService`; the protos say what each does."""

    def __init__(self, annotations: Annotations, max_batch_size: int) -> None:
        self._annotations = annotations
        self._max_batch_size = max_batch_size

    async def CreateAnnotation(self, request: pb.CreateAnnotationRequest, context: Context) -> Annotation:
        return await self._apply_one(_creation(request), "annotations.create")

    async def GetAnnotation(self, request: pb.GetAnnotationRequest, context: Context) -> Annotation:
        return _to_proto(await self._annotations.get(AnnotationName.parse(request.name)))

    async def ListAnnotations(self, request: pb.ListAnnotationsRequest, context: Context) -> pb.ListAnnotationsResponse:
        image = ImageName.parse(request.parent, "parent")
        page = PageRequest.parse(request.page_size, request.page_token)
        annotations, token = await self._annotations.list(image, page)
        return pb.ListAnnotationsResponse(annotations=map(_to_proto, annotations), next_page_token=token)

    async def UpdateAnnotation(self, request: pb.UpdateAnnotationRequest, context: Context) -> Annotation:
        return await self._apply_one(_update(request), "annotations.update")

    async def DeleteAnnotation(self, request: pb.DeleteAnnotationRequest, context: Context) -> Empty:
        await self._apply_one(_deletion(request), "annotations.delete")
        return Empty()

    async def BatchCreateAnnotations(
        self, request: pb.BatchCreateAnnotationsRequest, context: Context
    ) -> pb.BatchCreateAnnotationsResponse:
        self._check_size(request.requests)
        edits = [_creation(one, f"requests[{place}].") for place, one in enumerate(request.requests)]
        annotations = await self._apply(request.parent, edits, "annotations.create")
        return pb.BatchCreateAnnotationsResponse(annotations=annotations)

    async def BatchUpdateAnnotations(
        self, request: pb.BatchUpdateAnnotationsRequest, context: Context
    ) -> pb.BatchUpdateAnnotationsResponse:
        self._check_size(request.requests)
        edits = [_update(one, f"requests[{place}].") for place, one in enumerate(request.requests)]
        annotations = await self._apply(request.parent, edits, "annotations.update")
        return pb.BatchUpdateAnnotationsResponse(annotations=annotations)

    async def BatchDeleteAnnotations(self, request: pb.BatchDeleteAnnotationsRequest, context: Context) -> Empty:
        self._check_size(request.requests)
        edits = [_deletion(one, f"requests[{place}].") for place, one in enumerate(request.requests)]
        await self._apply(request.parent, edits, "annotations.delete")
        return Empty()

    async def ReplaceAnnotations(self, request: pb.ReplaceAnnotationsRequest, context: Context) -> Image:
        new = [
            new_annotation_from_proto(annotation, f"annotations[{place}]")
            for place, annotation in enumerate(request.annotations)
        ]
        image = ImageName.parse(request.image, "image")
        return image_to_proto(await self._annotations.replace(image, new, request.etag))

    def _check_size(self, requests: Sized) -> None:
        if len(requests) > self._max_batch_size:
            raise InvalidArgumentError.of_field("requests", f"must be at most {self._max_batch_size}")

    async def _apply_one(self, edit: AnnotationEdit, action: str) -> Annotation:
        (annotation,) = await self._annotations.apply(ProjectName(edit.image.project), [edit], action)
        return _to_proto(annotation)

    async def _apply(self, parent: str, edits: Sequence[AnnotationEdit], action: str) -> Sequence[Annotation]:
        dataset = DatasetName.parse(parent, "parent")
        for place, edit in enumerate(edits):
            if DatasetName(edit.image.project, edit.image.dataset) != dataset:
                raise InvalidArgumentError.of_field(f"requests[{place}]", f"must be about {dataset}, not {edit.image}")
        annotations = await self._annotations.apply(ProjectName(dataset.project), edits, action)
        return [_to_proto(annotation) for annotation in annotations]


def _creation(request: pb.CreateAnnotationRequest, path: str = "") -> AnnotationEdit:
    image = ImageName.parse(request.parent, f"{path}parent")
    return creation(image, new_annotation_from_proto(request.annotation, f"{path}annotation"), request.etag)


def _update(request: pb.UpdateAnnotationRequest, path: str = "") -> AnnotationEdit:
    name = AnnotationName.parse(request.annotation.name, f"{path}annotation.name")
    return update(name, _new_values(request.annotation, request.update_mask, path), request.annotation.etag)


def _deletion(request: pb.DeleteAnnotationRequest, path: str = "") -> AnnotationEdit:
    return deletion(AnnotationName.parse(request.name, f"{path}name"), request.etag)


def _new_values(annotation: Annotation, mask: FieldMask, path: str) -> Mapping[str, Any]:
    new = new_annotation_from_proto(annotation, f"{path}annotation")
    return {field: getattr(new, field) for field in updated_fields(annotation, mask, _UPDATABLE)}


def _to_proto(placed: PlacedAnnotation) -> Annotation:
    return annotation_to_proto(placed.image.name, placed.annotation, etag_of(placed.image.revision))
