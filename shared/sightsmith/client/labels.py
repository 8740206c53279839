"""Labels of a project."""

from collections.abc import Iterator, Sequence

import grpc

from sightsmith.api.labeling.v1 import label_service_pb2 as pb
from sightsmith.api.labeling.v1.label_pb2 import Label
from sightsmith.api.labeling.v1.label_service_pb2_grpc import LabelServiceStub
from sightsmith.client.calls import all_pages, calling
from sightsmith.errors import NotFoundError


class Labels:
    """Creates, renames, merges and deletes labels. Names are resource names: `projects/{project}/labels/{label}`."""

    def __init__(self, channel: grpc.Channel) -> None:
        """Takes a channel to the labeling service."""
        self.stub = LabelServiceStub(channel)

    def create(self, project: str, display_name: str) -> Label:
        """Creates a label, so that it can be chosen before any image carries it."""
        request = pb.CreateLabelRequest(parent=project, label=Label(display_name=display_name))
        with calling():
            return self.stub.CreateLabel(request)

    def list(self, project: str, display_names: Sequence[str] = ()) -> Iterator[Label]:
        """The labels of a project with their counts, ordered by what they are called.

        Args:
            project: `projects/{project}`.
            display_names: only labels that are called one of these; all if left out.
        """
        return all_pages(
            lambda token: self.stub.ListLabels(
                pb.ListLabelsRequest(parent=project, display_names=display_names, page_token=token)
            ),
            lambda page: page.labels,
        )

    def find(self, project: str, display_name: str) -> Label:
        """The label of a project that is called so.

        Raises:
            NotFoundError: if there is none.
        """
        for label in self.list(project, [display_name]):
            return label
        raise NotFoundError(f"the label {display_name!r} of {project}")

    def rename(self, name: str, display_name: str) -> Label:
        """Calls a label something else, at once on every image."""
        request = pb.UpdateLabelRequest(label=Label(name=name, display_name=display_name))
        with calling():
            return self.stub.UpdateLabel(request)

    def merge(self, name: str, into: str) -> Label:
        """Makes one label another on every image, and deletes it; returns the other. May be called again."""
        with calling():
            return self.stub.MergeLabel(pb.MergeLabelRequest(name=name, into=into))

    def delete(self, name: str, force: bool = False) -> None:
        """Deletes a label; with `force` takes it off the images that carry it."""
        with calling():
            self.stub.DeleteLabel(pb.DeleteLabelRequest(name=name, force=force))
