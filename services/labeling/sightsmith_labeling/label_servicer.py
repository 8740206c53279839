"""LabelService: reads requests, calls what they are about, and converts the answers."""

from google.protobuf.empty_pb2 import Empty

from sightsmith.api.labeling.v1 import label_pb2
from sightsmith.api.labeling.v1 import label_service_pb2 as pb
from sightsmith.api.labeling.v1.label_service_pb2_grpc import LabelServiceServicer
from sightsmith.names import LabelName, ProjectName
from sightsmith.paging import PageRequest
from sightsmith.rpc import Context
from sightsmith.rpc.update_masks import updated_fields
from sightsmith_labeling.convert import split_to_proto, timestamp
from sightsmith_labeling.project_labels import Label, Labels


class LabelServicer(LabelServiceServicer):
    """Answers the calls of `sightsmith.api.labeling.v1.LabelService`; the protos say what each does."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels

    async def CreateLabel(self, request: pb.CreateLabelRequest, context: Context) -> label_pb2.Label:
        project = ProjectName.parse(request.parent, "parent")
        return _to_proto(await self._labels.create(project, request.label.display_name))

    async def GetLabel(self, request: pb.GetLabelRequest, context: Context) -> label_pb2.Label:
        return _to_proto(await self._labels.get(LabelName.parse(request.name)))

    async def ListLabels(self, request: pb.ListLabelsRequest, context: Context) -> pb.ListLabelsResponse:
        project = ProjectName.parse(request.parent, "parent")
        page = PageRequest.parse(request.page_size, request.page_token)
        labels, token = await self._labels.list(project, page, request.display_names)
        return pb.ListLabelsResponse(labels=map(_to_proto, labels), next_page_token=token)

    async def UpdateLabel(self, request: pb.UpdateLabelRequest, context: Context) -> label_pb2.Label:
        updated_fields(request.label, request.update_mask, ["display_name"])
        name = LabelName.parse(request.label.name, "label.name")
        return _to_proto(await self._labels.rename(name, request.label.display_name))

    async def MergeLabel(self, request: pb.MergeLabelRequest, context: Context) -> label_pb2.Label:
        name, into = LabelName.parse(request.name), LabelName.parse(request.into, "into")
        return _to_proto(await self._labels.merge(name, into))

    async def DeleteLabel(self, request: pb.DeleteLabelRequest, context: Context) -> Empty:
        await self._labels.delete(LabelName.parse(request.name), request.force)
        return Empty()


def _to_proto(label: Label) -> label_pb2.Label:
    return label_pb2.Label(
        name=str(label.name),
        display_name=label.display_name,
        create_time=timestamp(label.create_time),
        split_counts=[
            label_pb2.Label.SplitCount(
                split=split_to_proto(count.split), image_count=count.image_count, box_count=count.box_count
            )
            for count in label.split_counts
        ],
    )
