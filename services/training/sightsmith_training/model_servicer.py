"""`ModelService` of the API."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from google.protobuf.empty_pb2 import Empty

from sightsmith.api.training.v1 import (
    evaluation_curves_pb2,
    evaluation_pb2,
    finding_pb2,
    model_card_pb2,
    model_comparison_pb2,
    model_pb2,
)
from sightsmith.api.training.v1 import model_service_pb2 as api
from sightsmith.api.training.v1 import model_service_pb2_grpc as services
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import EvaluationCurvesName, EvaluationName, ModelCardName, ModelName, ProjectName
from sightsmith.paging import PageRequest
from sightsmith.rpc import Context
from sightsmith.rpc.repeatable_requests import request_id_from_proto
from sightsmith.rpc.update_masks import updated_fields
from sightsmith_training.convert import artifact_message, model_message
from sightsmith_training.engine.judging.matches import Outcome
from sightsmith_training.evaluation_convert import (
    comparison_message,
    curves_message,
    evaluated_image_message,
    evaluation_message,
)
from sightsmith_training.evaluations.listing import FindingFilter
from sightsmith_training.evaluations.service import Evaluations
from sightsmith_training.model_card import ModelCards
from sightsmith_training.model_copying import ModelCopying
from sightsmith_training.model_deleting import ModelDeleting
from sightsmith_training.model_details import CHANGEABLE, ModelChange, ModelDetails
from sightsmith_training.model_files import ModelFiles
from sightsmith_training.model_listing import ModelFilter, ModelOrder
from sightsmith_training.models import Models


@dataclass(frozen=True)
class ModelParts:
    """What can be done with models."""

    models: Models
    details: ModelDetails
    copying: ModelCopying
    deleting: ModelDeleting
    files: ModelFiles
    cards: ModelCards
    evaluations: Evaluations


class ModelServicer(services.ModelServiceServicer):
    """Parses, calls, converts."""

    def __init__(self, parts: ModelParts) -> None:
        self._parts = parts
        self._models = parts.models

    async def GetModel(self, request: api.GetModelRequest, context: Context) -> model_pb2.Model:
        return model_message(await self._models.get(ModelName.parse(request.name)))

    async def ListModels(self, request: api.ListModelsRequest, context: Context) -> api.ListModelsResponse:
        project = ProjectName.parse(request.parent, "parent").project
        page = PageRequest.parse(request.page_size, request.page_token)
        wanted = ModelFilter(request.filter.labels, request.filter.tags)
        models, token = await self._models.page(project, page, wanted, ModelOrder.parse(request.order_by))
        return api.ListModelsResponse(models=map(model_message, models), next_page_token=token)

    async def UpdateModel(self, request: api.UpdateModelRequest, context: Context) -> model_pb2.Model:
        model = request.model
        name = ModelName.parse(model.name, "model.name")
        fields = updated_fields(model, request.update_mask, CHANGEABLE)
        change = ModelChange(
            description=model.description if "description" in fields else None,
            tags=model.tags if "tags" in fields else None,
            thresholds=[(item.label, item.threshold) for item in model.thresholds] if "thresholds" in fields else None,
        )
        return model_message(await self._parts.details.update(name, change, model.etag))

    async def CopyModel(self, request: api.CopyModelRequest, context: Context) -> model_pb2.Model:
        name = ModelName.parse(request.name)
        destination = ProjectName.parse(request.destination, "destination")
        request_id = request_id_from_proto(request.request_id)
        return model_message(await self._parts.copying.copy(name, destination, request_id))

    async def DeleteModel(self, request: api.DeleteModelRequest, context: Context) -> Empty:
        await self._parts.deleting.delete(ModelName.parse(request.name), request.etag)
        return Empty()

    async def DownloadArtifact(
        self, request: api.DownloadArtifactRequest, context: Context
    ) -> AsyncIterator[api.DownloadArtifactResponse]:
        name, files = ModelName.parse(request.name), self._parts.files
        artifact = await files.find(name, _format_name(request.format), request.path, request.offset)
        yield api.DownloadArtifactResponse(artifact=artifact_message(artifact))
        async for chunk in files.read(artifact, request.offset):
            yield api.DownloadArtifactResponse(chunk=chunk)

    async def GetModelCard(self, request: api.GetModelCardRequest, context: Context) -> model_card_pb2.ModelCard:
        name = ModelCardName.parse(request.name)
        text = await self._parts.cards.write(ModelName(name.project, name.model))
        return model_card_pb2.ModelCard(name=str(name), markdown=text)

    async def GetEvaluation(self, request: api.GetEvaluationRequest, context: Context) -> evaluation_pb2.Evaluation:
        name = EvaluationName.parse(request.name)
        return evaluation_message(await self._parts.evaluations.get(name))

    async def GetEvaluationCurves(
        self, request: api.GetEvaluationCurvesRequest, context: Context
    ) -> evaluation_curves_pb2.EvaluationCurves:
        name = EvaluationCurvesName.parse(request.name)
        return curves_message(name, await self._parts.evaluations.curves(name.of_evaluation))

    async def ListEvaluatedImages(
        self, request: api.ListEvaluatedImagesRequest, context: Context
    ) -> api.ListEvaluatedImagesResponse:
        name = EvaluationName.parse(request.parent, "parent")
        page = PageRequest.parse(request.page_size, request.page_token)
        wanted = FindingFilter(request.filter.label, _outcome(request.filter.outcome))
        images, token = await self._parts.evaluations.images(name, page, wanted)
        return api.ListEvaluatedImagesResponse(
            evaluated_images=map(evaluated_image_message, images), next_page_token=token
        )

    async def CompareModels(
        self, request: api.CompareModelsRequest, context: Context
    ) -> model_comparison_pb2.ModelComparison:
        baseline = ModelName.parse(request.baseline, "baseline")
        candidate = ModelName.parse(request.candidate, "candidate")
        comparison = await self._parts.evaluations.compare(
            _evaluation_of(baseline, request.baseline_evaluation, "baseline_evaluation"),
            _evaluation_of(candidate, request.candidate_evaluation, "candidate_evaluation"),
        )
        return comparison_message(baseline, candidate, comparison)


def _evaluation_of(model: ModelName, name: str, field: str) -> EvaluationName:
    """The evaluation that is meant: the model's own one if none is named."""
    if not name:
        return EvaluationName(model.project, model.model)
    evaluation = EvaluationName.parse(name, field)
    if evaluation.of_model != model:
        raise InvalidArgumentError.of_field(field, f"must be of {model}, not of {evaluation.of_model}")
    return evaluation


def _format_name(value: model_pb2.Artifact.Format.ValueType) -> str:
    if value not in model_pb2.Artifact.Format.values():
        raise InvalidArgumentError.of_field("format", f"{value} is not known")
    return model_pb2.Artifact.Format.Name(value).removeprefix("FORMAT_").lower()


def _outcome(value: finding_pb2.Finding.Outcome.ValueType) -> Outcome | None:
    if value == finding_pb2.Finding.OUTCOME_UNSPECIFIED:
        return None
    if value not in finding_pb2.Finding.Outcome.values():
        raise InvalidArgumentError.of_field("filter.outcome", f"{value} is not known")
    return Outcome[finding_pb2.Finding.Outcome.Name(value).removeprefix("OUTCOME_")]
