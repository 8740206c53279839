"""Model versions."""

import hashlib
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import code_pb2

from sightsmith.api.training.v1 import model_service_pb2 as pb
from sightsmith.api.training.v1.model_pb2 import Artifact, Model
from sightsmith.api.training.v1.model_service_pb2_grpc import ModelServiceStub
from sightsmith.client.calls import all_pages, calling
from sightsmith.errors import SightsmithError
from sightsmith.names import ProjectName

# Told of bytes as they come.
OnBytes = Callable[[int], None]


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
        # Named after what is to be in it, so that nothing but the beginning of the same file is ever gone on with.
        partial = target.with_name(f".{target.name}.{artifact.sha256[:16]}.part")
        while not self._append(name, artifact, partial, on_bytes):
            pass
        with partial.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if sha256 != artifact.sha256:
            partial.unlink()
            raise SightsmithError(f"{artifact.path} of {name} came with other bytes than were exported")
        partial.replace(target)

    def _append(self, name: str, artifact: Artifact, partial: Path, on_bytes: OnBytes | None) -> bool:
        """Adds to a file what is still missing; returns whether it is all there, or the connection broke on the way."""
        with partial.open("ab") as file:
            begin = file.tell()
            request = pb.DownloadArtifactRequest(
                name=name, format=artifact.format, path=artifact.path, offset=min(begin, artifact.size_bytes)
            )
            try:
                with calling():
                    for part in self.stub.DownloadArtifact(request):
                        file.write(part.chunk)
                        if on_bytes is not None:
                            on_bytes(len(part.chunk))
            except SightsmithError as error:
                if error.code != code_pb2.UNAVAILABLE or file.tell() == begin:
                    raise
                return False
        return True

    def _update(self, model: Model, field: str) -> Model:
        with calling():
            return self.stub.UpdateModel(pb.UpdateModelRequest(model=model, update_mask=FieldMask(paths=[field])))
