"""ChangeService: reads requests, calls what they are about, and converts the answers."""

from sightsmith.api.labeling.v1 import change_service_pb2 as pb
from sightsmith.api.labeling.v1.change_service_pb2_grpc import ChangeServiceServicer
from sightsmith.names import ImageName, ProjectName
from sightsmith.paging import PageRequest
from sightsmith.rpc import Context
from sightsmith_labeling.changes import Change, ChangeFilter, Changes
from sightsmith_labeling.convert import check_text, time_from_proto, timestamp


class ChangeServicer(ChangeServiceServicer):
    """Answers the calls of `sightsmith.api.labeling.v1.ChangeService`; the protos say what each does."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    async def ListChanges(self, request: pb.ListChangesRequest, context: Context) -> pb.ListChangesResponse:
        project = ProjectName.parse(request.parent, "parent")
        page = PageRequest.parse(request.page_size, request.page_token)
        is_image = "/images/" in request.resource
        wanted = ChangeFilter(
            resource="" if is_image else check_text("resource", request.resource),
            image=ImageName.parse(request.resource, "resource") if is_image else None,
            action=check_text("action", request.action),
            actor=check_text("actor", request.actor),
            after_time=time_from_proto("after_time", request.after_time) if request.HasField("after_time") else None,
        )
        changes, token = await self._changes.list(project, page, wanted)
        return pb.ListChangesResponse(changes=map(_to_proto, changes), next_page_token=token)


def _to_proto(change: Change) -> pb.Change:
    found = pb.Change(
        name=str(change.name),
        resource=change.resource,
        action=change.action,
        actor=change.actor,
        request_id=change.request_id,
        create_time=timestamp(change.create_time),
    )
    found.details.update(change.details)
    return found
