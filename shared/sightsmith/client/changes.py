"""The audit trail."""

from collections.abc import Iterator
from datetime import datetime

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from sightsmith.api.labeling.v1 import change_service_pb2 as pb
from sightsmith.api.labeling.v1.change_service_pb2_grpc import ChangeServiceStub
from sightsmith.client.calls import all_pages


class Changes:
    """Who did what to a project, its datasets, labels and images."""

    def __init__(self, channel: grpc.Channel) -> None:
        """Takes a channel to the labeling service."""
        self.stub = ChangeServiceStub(channel)

    def list(
        self, project: str, *, resource: str = "", action: str = "", actor: str = "", after: datetime | None = None
    ) -> Iterator[pb.Change]:
        """The changes of a project, newest first.

        Args:
            project: `projects/{project}`.
            resource: only changes of what has this name. An image has those of its whole life in the project,
                whichever dataset its name says, also those that were made to many images together.
            action: only this action, as `labels.rename`, or all of a kind, as `labels.*`.
            actor: only what this caller did.
            after: only what was done later.
        """
        after_time = Timestamp()
        if after is not None:
            after_time.FromDatetime(after)
        return all_pages(
            lambda token: self.stub.ListChanges(
                pb.ListChangesRequest(
                    parent=project,
                    resource=resource,
                    action=action,
                    actor=actor,
                    after_time=after_time if after is not None else None,
                    page_token=token,
                )
            ),
            lambda page: page.changes,
        )
