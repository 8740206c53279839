"""Copying a model to another project.

The exported files are shared: their keys are made from their content, and `model_deleting` keeps a file for as long as
any model needs it. Only `config.pbtxt` is written anew, because it names the model in the inference server, where the
copy is a model of its own.
"""

import hashlib
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import text_format
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from tritonclient.grpc import model_config_pb2 as triton

from sightsmith.api.events.v1.event_pb2 import ModelCreated
from sightsmith.api.labeling.v1.labeling_service_pb2 import GetProjectRequest
from sightsmith.api.labeling.v1.labeling_service_pb2_grpc import LabelingServiceStub
from sightsmith.database import Database, utc_now
from sightsmith.errors import AlreadyExistsError, InternalError, InvalidArgumentError, UnavailableError
from sightsmith.events.outbox import tell
from sightsmith.names import ModelName, ProjectName
from sightsmith.objects import Objects
from sightsmith.rpc.channel import error_of
from sightsmith_training.discarded_files import DiscardedFiles, discard
from sightsmith_training.evaluations.storing import copy_images, copy_of
from sightsmith_training.models import (
    Model,
    StoredArtifact,
    locked_model_row,
    model_id,
    model_of,
    model_row,
    next_model_number,
)
from sightsmith_training.publishing import CONFIG_FILE
from sightsmith_training.tables import ModelRow, Outbox

_TIMEOUT_SECONDS = 10.0
# What a copy does not take over.
_OWN = {
    "id", "project", "number", "artifacts", "copied_from", "request_id", "revision", "create_time", "update_time",
}  # fmt: skip


@dataclass(frozen=True)
class _Config:
    """A `config.pbtxt` of a copy: its description, and its text."""

    artifact: StoredArtifact
    text: bytes


class ModelCopying:
    """Copies models."""

    def __init__(
        self, database: Database, objects: Objects, discarded: DiscardedFiles, labeling: grpc.aio.Channel
    ) -> None:
        """Prepares it.

        Args:
            database: where the models are.
            objects: where their files are.
            discarded: deletes the files of copies that did not come about.
            labeling: a channel to the service that knows the projects.
        """
        self._database = database
        self._objects = objects
        self._discarded = discarded
        self._labeling = LabelingServiceStub(labeling)

    async def copy(self, name: ModelName, destination: ProjectName, request_id: uuid.UUID | None) -> Model:
        """Copies a model, or returns the copy that the same request made before.

        Raises:
            InvalidArgumentError: if the destination is the model's own project.
            NotFoundError: if there is no such model or project.
            AlreadyExistsError: if the request id was used with other arguments.
            UnavailableError: if labeling or the object store cannot be reached.
        """
        if destination.project == name.project:
            raise InvalidArgumentError.of_field("destination", f"must be another project than that of {name}")
        if (earlier := await self._of_request(name, destination, request_id)) is not None:
            return earlier
        await self._require_project(destination)
        original, copy = await self._begin(name, destination)
        configs = [await self._config(original, artifact, copy) for artifact in _configs_of(original)]
        try:
            for config in configs:
                await self._objects.put(config.artifact.key, config.text)
            return await self._add(name, copy, configs, request_id)
        except IntegrityError:
            # The same request, sent twice at a time: the other one was quicker.
            await self._discard(configs)
            if (earlier := await self._of_request(name, destination, request_id)) is None:
                raise
            return earlier
        except Exception:
            with suppress(UnavailableError):
                await self._discard(configs)
            raise

    async def _of_request(
        self, name: ModelName, destination: ProjectName, request_id: uuid.UUID | None
    ) -> Model | None:
        if request_id is None:
            return None
        query = select(ModelRow).where(ModelRow.project == destination.project, ModelRow.request_id == request_id)
        async with self._database.transaction() as session:
            row = await session.scalar(query)
        if row is None:
            return None
        if row.copied_from != str(name):
            copy = str(ModelName(row.project, model_id(row.number)))
            raise AlreadyExistsError(
                f"request_id {request_id} was used before to make {copy} as a copy of {row.copied_from}",
                reason="REQUEST_ID_REUSED",
                metadata={"name": copy},
            )
        return model_of(row)

    async def _require_project(self, project: ProjectName) -> None:
        try:
            await self._labeling.GetProject(GetProjectRequest(name=str(project)), timeout=_TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            raise error_of(error) from error

    async def _begin(self, name: ModelName, destination: ProjectName) -> tuple[Model, ModelName]:
        """The original, and a name for the copy."""
        async with self._database.transaction() as session:
            original = model_of(await model_row(session, name))
            number = await next_model_number(session, destination.project)
        return original, ModelName(destination.project, model_id(number))

    async def _config(self, original: Model, artifact: StoredArtifact, copy: ModelName) -> _Config:
        try:
            config = text_format.Parse(await self._objects.get(artifact.key), triton.ModelConfig())
        except FileNotFoundError:
            async with self._database.transaction() as session:
                await model_row(session, original.name)  # It may have been deleted meanwhile.
            raise InternalError(f"{artifact.key}, a file of {original.name}, is not in the object store") from None
        config.name = config.name.replace(_triton_prefix(original.name), _triton_prefix(copy), 1)
        text = text_format.MessageToString(config).encode()
        own = {
            "key": f"models/{copy.project}/{copy.model}/{config.name}/{CONFIG_FILE}",
            "sha256": hashlib.sha256(text).hexdigest(),
            "size_bytes": len(text),
        }
        return _Config(artifact.model_copy(update=own), text)

    async def _add(
        self, name: ModelName, copy: ModelName, configs: Sequence[_Config], request_id: uuid.UUID | None
    ) -> Model:
        async with self._database.transaction() as session:
            # Locked, so that it is not deleted, and its files with it, before the copy is there to need them.
            original = await locked_model_row(session, name)
            shared = [artifact for artifact in original.artifacts if artifact["path"] != CONFIG_FILE]
            now = utc_now()
            row = ModelRow(
                **_values_to_copy(original),
                id=uuid.uuid4(),
                project=copy.project,
                number=int(copy.model.removeprefix("v")),
                artifacts=[*(config.artifact.model_dump() for config in configs), *shared],
                copied_from=str(name),
                request_id=request_id,
                create_time=now,
                update_time=now,
                own_evaluation=copy_of(original.own_evaluation),
            )
            session.add(row)
            await session.flush()
            await copy_images(session, original.own_evaluation, row.own_evaluation)
            tell(session, Outbox, ModelCreated(model=str(copy)))
            return model_of(row)

    async def _discard(self, configs: Sequence[_Config]) -> None:
        """Deletes files of a copy, unless it came about after all and only the answer was lost."""
        async with self._database.transaction() as session:
            await discard(session, [config.artifact.key for config in configs])
        await self._discarded.sweep()


def _configs_of(model: Model) -> list[StoredArtifact]:
    return [artifact for artifact in model.artifacts if artifact.path == CONFIG_FILE]


def _values_to_copy(row: ModelRow) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in ModelRow.__table__.columns if column.key not in _OWN}


def _triton_prefix(model: ModelName) -> str:
    """How the names begin that the model's exports have in the inference server; see `triton_model_name`."""
    return f"{model.project}.{model.model}."
