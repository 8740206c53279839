"""`sightsmith.api.inference.v1.DeploymentService`."""

from collections.abc import Awaitable, Callable

from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask

from sightsmith.api.inference.v1 import deployment_pb2, deployment_service_pb2, deployment_service_pb2_grpc
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import DeploymentName, ModelName, ProjectName, check_id
from sightsmith.paging import PageRequest, page_of
from sightsmith.rpc import Context
from sightsmith_inference.convert import deployment_to_proto, runtime_of, sampling_of
from sightsmith_inference.deployments import Deployments

_CHANGEABLE = ("model", "runtime", "sampling")


class DeploymentServicer(deployment_service_pb2_grpc.DeploymentServiceServicer):
    """Puts models into service. Each call writes down what is wished for; the reconciler makes it true."""

    def __init__(self, deployments: Deployments, changed: Callable[[], Awaitable[None]]) -> None:
        """Makes the servicer.

        Args:
            deployments: where wishes are written down.
            changed: called after each change, so that it shows at once.
        """
        self._deployments = deployments
        self._changed = changed

    async def CreateDeployment(
        self, request: deployment_service_pb2.CreateDeploymentRequest, context: Context
    ) -> deployment_pb2.Deployment:
        """Creates a deployment."""
        project = ProjectName.parse(request.parent, "parent").project
        name = DeploymentName(project, check_id("deployment_id", request.deployment_id))
        model = _model_of(request.deployment, project)
        runtime, sampling = runtime_of(request.deployment.runtime), sampling_of(request.deployment)
        deployment = await self._deployments.create(name, model, runtime, sampling)
        await self._changed()
        return deployment_to_proto(deployment)

    async def GetDeployment(
        self, request: deployment_service_pb2.GetDeploymentRequest, context: Context
    ) -> deployment_pb2.Deployment:
        """Returns a deployment."""
        return deployment_to_proto(await self._deployments.get(DeploymentName.parse(request.name)))

    async def ListDeployments(
        self, request: deployment_service_pb2.ListDeploymentsRequest, context: Context
    ) -> deployment_service_pb2.ListDeploymentsResponse:
        """Lists the deployments of a project."""
        page = PageRequest.parse(request.page_size, request.page_token)
        deployments = await self._deployments.list(ProjectName.parse(request.parent, "parent"), page)
        items, token = page_of(deployments, page, lambda deployment: deployment.name.deployment)
        return deployment_service_pb2.ListDeploymentsResponse(
            deployments=map(deployment_to_proto, items), next_page_token=token
        )

    async def UpdateDeployment(
        self, request: deployment_service_pb2.UpdateDeploymentRequest, context: Context
    ) -> deployment_pb2.Deployment:
        """Puts another model behind the name, or samples its predictions otherwise."""
        wanted = request.deployment
        name = DeploymentName.parse(wanted.name, "deployment.name")
        fields = _fields_of(request.update_mask, wanted)
        model = _model_of(wanted, name.project) if "model" in fields else None
        runtime = runtime_of(wanted.runtime) if "runtime" in fields else None
        sampling = sampling_of(wanted) if "sampling" in fields else None
        deployment = await self._deployments.update(name, model, runtime, sampling)
        await self._changed()
        return deployment_to_proto(deployment)

    async def DeleteDeployment(
        self, request: deployment_service_pb2.DeleteDeploymentRequest, context: Context
    ) -> Empty:
        """Takes a deployment out of service."""
        await self._deployments.delete(DeploymentName.parse(request.name))
        await self._changed()
        return Empty()


def _model_of(wanted: deployment_pb2.Deployment, project: str) -> ModelName:
    model = ModelName.parse(wanted.model, "deployment.model")
    if model.project != project:
        raise InvalidArgumentError.of_field(
            "deployment.model", f"must be of the project projects/{project}, not {model}"
        )
    return model


def _fields_of(mask: FieldMask, wanted: deployment_pb2.Deployment) -> set[str]:
    """The fields that are to be taken over: those of the mask, or all that are set."""
    unknown = [path for path in mask.paths if path not in _CHANGEABLE]
    if unknown:
        raise InvalidArgumentError.of_field(
            "update_mask", f"can hold {', '.join(_CHANGEABLE)}, not {', '.join(unknown)[:200]}"
        )
    return set(mask.paths) or {field.name for field, _ in wanted.ListFields() if field.name in _CHANGEABLE}
