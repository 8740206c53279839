"""Model versions."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from sightsmith.api.training.v1 import model_service_pb2 as pb
from sightsmith.api.training.v1.model_pb2 import Artifact, LabelThreshold, Model
from sightsmith.api.training.v1.model_service_pb2_grpc import ModelServiceStub
from sightsmith.client.calls import all_pages, calling
from sightsmith.client.file_download import OnBytes, download_file
from sightsmith.names import ProjectName


class Models:
    """Finds, describes, copies, deletes and downloads models. `name` is `projects/{project}/models/{model}`.

    Every method raises `SightsmithError` with the reason that the service gave.

    Attributes:
        stub: the generated stub.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self.stub = ModelServiceStub(channel)

    def get(self, name: str) -> Model:
        """A model."""
        with calling():
            return self.stub.GetModel(pb.GetModelRequest(name=name))

    def list(
        self, project: str, labels: Sequence[str] = (), tags: Mapping[str, str] | None = None, order_by: str = ""
    ) -> Iterator[Model]:
        """The models of a project, newest first unless told otherwise.

        Args:
            project: id of the project.
            labels: only models that know all of these.
            tags: only models that have all of these, with these values.
            order_by: `create_time desc`, `create_time` or `macro_f1 desc`.
        """
        parent, wanted = str(ProjectName(project)), pb.ModelFilter(labels=labels, tags=tags)
        return all_pages(
            lambda token: self.stub.ListModels(
                pb.ListModelsRequest(parent=parent, page_token=token, filter=wanted, order_by=order_by)
            ),
            lambda page: page.models,
        )

    def describe(self, name: str, description: str, etag: str = "") -> Model:
        """Says what people are to know of a model. With an etag it fails once somebody else has changed the model."""
        return self._update(Model(name=name, description=description, etag=etag), "description")

    def tag(self, name: str, tags: Mapping[str, str], etag: str = "") -> Model:
        """Gives a model these tags in place of those it has. With an etag it fails as `describe` does."""
        return self._update(Model(name=name, tags=tags, etag=etag), "tags")

    def set_thresholds(self, name: str, thresholds: Mapping[str, float], etag: str = "") -> Model:
        """Lets labels hold from other scores on; deployments follow by themselves. With an etag it fails as `describe`.

        Args:
            name: of the model.
            thresholds: 0 to 1, of every label; none for a model of one label an image whose best label is to be the
                answer.
            etag: that the caller read.
        """
        told = [LabelThreshold(label=label, threshold=threshold) for label, threshold in thresholds.items()]
        return self._update(Model(name=name, thresholds=told, etag=etag), "thresholds")

    def copy(self, name: str, destination: str) -> Model:
        """Copies a model to another project, and returns the copy.

        Args:
            name: of the model.
            destination: id of the project that gets it.
        """
        request = pb.CopyModelRequest(
            name=name, destination=str(ProjectName(destination)), request_id=str(uuid.uuid4())
        )
        with calling():
            return self.stub.CopyModel(request)

    def delete(self, name: str, etag: str = "") -> None:
        """Deletes a model that is not deployed. With an etag it fails as `describe` does."""
        with calling():
            self.stub.DeleteModel(pb.DeleteModelRequest(name=name, etag=etag))

    def card(self, name: str) -> str:
        """A page about a model for people, in Markdown."""
        with calling():
            return self.stub.GetModelCard(pb.GetModelCardRequest(name=f"{name}/card")).markdown

    def download(self, name: str, artifact: Artifact, target: Path, on_bytes: OnBytes | None = None) -> None:
        """Writes a file of an exported model, which is there only if it is whole.

        What came before a connection broke is kept beside it, and the same download goes on from there.

        Args:
            name: of the model.
            artifact: one of the model's.
            target: the file to write; its folder must be there.
            on_bytes: told of the bytes as they come.

        Raises:
            OSError: if the file cannot be written.
        """

        def chunks(offset: int) -> Iterator[bytes]:
            request = pb.DownloadArtifactRequest(name=name, format=artifact.format, path=artifact.path, offset=offset)
            return (part.chunk for part in self.stub.DownloadArtifact(request))

        download_file(target, artifact.sha256, artifact.size_bytes, chunks, on_bytes)

    def _update(self, model: Model, field: str) -> Model:
        with calling():
            return self.stub.UpdateModel(pb.UpdateModelRequest(model=model, update_mask=FieldMask(paths=[field])))
