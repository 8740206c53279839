"""Between uploads and their protobuf messages."""

from collections.abc import AsyncIterator

from sightsmith.api.labeling.v1 import labeling_service_pb2
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import DatasetName
from sightsmith.rpc.status import to_status
from sightsmith_labeling.annotations import Origin
from sightsmith_labeling.convert import image_to_proto, new_annotation_from_proto
from sightsmith_labeling.uploads.answers import Answer, RefusedImage
from sightsmith_labeling.uploads.assembler import Part
from sightsmith_labeling.uploads.header import ImageHeader


async def upload_parts(requests: AsyncIterator[labeling_service_pb2.UploadImagesRequest]) -> AsyncIterator[Part]:
    """The parts of an upload as they come.

    Raises:
        InvalidArgumentError: if a message holds none of the parts.
    """
    async for request in requests:
        match request.WhichOneof("part"):
            case "parent":
                yield DatasetName.parse(request.parent, "parent")
            case "header":
                yield _header_from_proto(request.header)
                if request.header.data:
                    yield request.header.data
            case "chunk":
                yield request.chunk
            case _:
                raise InvalidArgumentError.of_field("part", "must be parent, header or chunk")


async def upload_parent(parts: AsyncIterator[Part]) -> DatasetName:
    """Reads the dataset that an upload begins with.

    Raises:
        InvalidArgumentError: if it begins with something else, or is empty.
    """
    first = await anext(parts, None)
    if not isinstance(first, DatasetName):
        raise InvalidArgumentError.of_field("parent", "must be the first message of the upload")
    return first


def answer_to_proto(answer: Answer) -> labeling_service_pb2.UploadImagesResponse:
    """What became of an image of an upload, as a client sees it."""
    response = labeling_service_pb2.UploadImagesResponse
    if isinstance(answer, RefusedImage):
        return response(
            index=answer.index,
            source=answer.source,
            outcome=response.OUTCOME_REJECTED,
            error=to_status(answer.error),
        )
    return response(
        index=answer.index,
        source=answer.source,
        outcome=response.OUTCOME_CREATED if answer.is_new else response.OUTCOME_UNCHANGED,
        image=image_to_proto(answer.image),
    )


def _header_from_proto(header: labeling_service_pb2.UploadImagesRequest.Header) -> ImageHeader:
    annotations = (
        new_annotation_from_proto(annotation, f"header.annotations[{index}]", Origin.IMPORT)
        for index, annotation in enumerate(header.annotations)
    )
    return ImageHeader(header.source, tuple(header.labels), tuple(annotations))
