"""`ModelService` of the API."""

from sightsmith.api.training.v1 import evaluation_pb2, model_pb2
from sightsmith.api.training.v1 import model_service_pb2 as api
from sightsmith.api.training.v1 import model_service_pb2_grpc as services
from sightsmith.names import EvaluationName, ModelName, ProjectName
from sightsmith.paging import PageRequest
from sightsmith.rpc import Context
from sightsmith_training.convert import evaluated_image_message, evaluation_message, model_message
from sightsmith_training.models import Models


class ModelServicer(services.ModelServiceServicer):
    """Parses, calls, converts."""

    def __init__(self, models: Models) -> None:
        self._models = models

    async def GetModel(self, request: api.GetModelRequest, context: Context) -> model_pb2.Model:
        return model_message(await self._models.get(ModelName.parse(request.name)))

    async def ListModels(self, request: api.ListModelsRequest, context: Context) -> api.ListModelsResponse:
        project = ProjectName.parse(request.parent, "parent").project
        models, token = await self._models.page(project, PageRequest.parse(request.page_size, request.page_token))
        return api.ListModelsResponse(models=map(model_message, models), next_page_token=token)

    async def GetEvaluation(self, request: api.GetEvaluationRequest, context: Context) -> evaluation_pb2.Evaluation:
        name = EvaluationName.parse(request.name)
        return evaluation_message(await self._models.get(ModelName(name.project, name.model)))

    async def ListEvaluatedImages(
        self, request: api.ListEvaluatedImagesRequest, context: Context
    ) -> api.ListEvaluatedImagesResponse:
        name = EvaluationName.parse(request.parent, "parent")
        page = PageRequest.parse(request.page_size, request.page_token)
        images, token = await self._models.evaluated_images(ModelName(name.project, name.model), page)
        return api.ListEvaluatedImagesResponse(
            evaluated_images=map(evaluated_image_message, images), next_page_token=token
        )
