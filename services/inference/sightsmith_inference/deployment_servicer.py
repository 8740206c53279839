"""`sightsmith.api.inference.v1.DeploymentService`."""

from collections.abc import AsyncIterator, Awaitable, Callable

from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask

from sightsmith.api.inference.v1 import deployment_pb2, deployment_service_pb2, deployment_service_pb2_grpc
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import DeploymentName, ProjectName, check_id
from sightsmith.paging import PageRequest, page_of
from sightsmith.rpc import Context
from sightsmith_inference.deployment_convert import (
    aliases_of,
    deployment_to_proto,
    is_tuned,
    model_of,
    proposal_of,
    replicas_of,
    runtime_of,
    sampling_of,
)
from sightsmith_inference.deployments import Deployments
from sightsmith_inference.known_models import KnownModels
from sightsmith_inference.proposals import Proposals
from sightsmith_inference.routes import Routes

_CHANGEABLE = ("model", "runtime", "aliases", "sampling", "replicas", "tuning")


class DeploymentServicer(deployment_service_pb2_grpc.DeploymentServiceServicer):
    """Puts models into service. Each call writes down what is wished for; the reconciler makes it true."""

    def __init__(
        self,
        deployments: Deployments,
        models: KnownModels,
        proposals: Proposals,
        routes: Routes,
        changed: Callable[[], Awaitable[None]],
        keepalive_seconds: float,
        max_replicas: int,
    ) -> None:
        """Makes the servicer.

        Args:
            deployments: where wishes are written down.
            models: what can be wished for.
            proposals: of other models.
            routes: tells of changes, whoever made them.
            changed: called after each change, so that it shows at once.
            keepalive_seconds: how long a watch may be silent.
            max_replicas: how many replicas a deployment may have.
        """
        self._deployments = deployments
        self._models = models
        self._proposals = proposals
        self._routes = routes
        self._changed = changed
        self._keepalive_seconds = keepalive_seconds
        self._max_replicas = max_replicas

    async def CreateDeployment(
        self, request: deployment_service_pb2.CreateDeploymentRequest, context: Context
    ) -> deployment_pb2.Deployment:
        """Creates a deployment."""
        project = ProjectName.parse(request.parent, "parent").project
        name = DeploymentName(project, check_id("deployment_id", request.deployment_id))
        model = model_of(request.deployment.model, project, "deployment.model")
        aliases = aliases_of(request.deployment, project)
        runtime, sampling = runtime_of(request.deployment.runtime), sampling_of(request.deployment)
        replicas = replicas_of(request.deployment, self._max_replicas)
        await self._models.require([str(model), *(alias.model for alias in aliases)])
        deployment = await self._deployments.create(
            name, model, runtime, sampling, aliases, replicas, is_tuned=is_tuned(request.deployment)
        )
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
        """Puts other models behind the name, shares traffic otherwise, or samples predictions otherwise."""
        wanted = request.deployment
        name = DeploymentName.parse(wanted.name, "deployment.name")
        fields = _fields_of(request.update_mask, wanted)
        model = model_of(wanted.model, name.project, "deployment.model") if "model" in fields else None
        aliases = aliases_of(wanted, name.project) if "aliases" in fields else None
        runtime = runtime_of(wanted.runtime) if "runtime" in fields else None
        sampling = sampling_of(wanted) if "sampling" in fields else None
        replicas = replicas_of(wanted, self._max_replicas) if "replicas" in fields else None
        tuned = is_tuned(wanted) if "tuning" in fields else None
        await self._models.require([*([str(model)] if model else []), *(alias.model for alias in aliases or ())])
        deployment = await self._deployments.update(name, model, runtime, sampling, aliases, replicas, is_tuned=tuned)
        await self._changed()
        return deployment_to_proto(deployment)

    async def RollbackDeployment(
        self, request: deployment_service_pb2.RollbackDeploymentRequest, context: Context
    ) -> deployment_pb2.Deployment:
        """Goes back to what answered before."""
        if request.release < 0:
            raise InvalidArgumentError.of_field("release", f"must not be negative, not {request.release}")
        deployment = await self._deployments.roll_back(DeploymentName.parse(request.name), request.release)
        await self._changed()
        return deployment_to_proto(deployment)

    async def ProposeModel(
        self, request: deployment_service_pb2.ProposeModelRequest, context: Context
    ) -> deployment_pb2.Deployment:
        """Proposes a model version."""
        name = DeploymentName.parse(request.name)
        proposal, canary_share = proposal_of(request.proposal, name.project)
        deployment = await self._proposals.propose(name, proposal, canary_share)
        await self._changed()
        return deployment_to_proto(deployment)

    async def AcceptProposal(
        self, request: deployment_service_pb2.AcceptProposalRequest, context: Context
    ) -> deployment_pb2.Deployment:
        """Puts the proposed model behind the name."""
        deployment = await self._proposals.accept(DeploymentName.parse(request.name), request.model)
        await self._changed()
        return deployment_to_proto(deployment)

    async def DismissProposal(
        self, request: deployment_service_pb2.DismissProposalRequest, context: Context
    ) -> deployment_pb2.Deployment:
        """Forgets the proposed model."""
        deployment = await self._proposals.dismiss(DeploymentName.parse(request.name))
        await self._changed()
        return deployment_to_proto(deployment)

    async def StopDeployment(
        self, request: deployment_service_pb2.StopDeploymentRequest, context: Context
    ) -> deployment_pb2.Deployment:
        """Takes a deployment out of service and keeps everything else of it."""
        deployment = await self._deployments.stop(DeploymentName.parse(request.name))
        await self._changed()
        return deployment_to_proto(deployment)

    async def StartDeployment(
        self, request: deployment_service_pb2.StartDeploymentRequest, context: Context
    ) -> deployment_pb2.Deployment:
        """Puts a deployment into service again."""
        deployment = await self._deployments.start(DeploymentName.parse(request.name))
        await self._changed()
        return deployment_to_proto(deployment)

    async def WatchDeployment(
        self, request: deployment_service_pb2.WatchDeploymentRequest, context: Context
    ) -> AsyncIterator[deployment_service_pb2.WatchDeploymentResponse]:
        """Tells of every change of a deployment."""
        name, revision = DeploymentName.parse(request.name), request.start_revision
        if revision < 0:
            raise InvalidArgumentError.of_field("start_revision", f"must not be negative, not {revision}")
        deployment = await self._deployments.get(name)
        while True:
            response = deployment_service_pb2.WatchDeploymentResponse()
            if deployment.revision != revision:
                revision = deployment.revision
                response.deployment.CopyFrom(deployment_to_proto(deployment))
            response.revision = revision
            yield response
            await self._routes.wait_changed(name, revision, self._keepalive_seconds)
            deployment = await self._deployments.get(name)

    async def DeleteDeployment(
        self, request: deployment_service_pb2.DeleteDeploymentRequest, context: Context
    ) -> Empty:
        """Takes a deployment out of service."""
        await self._deployments.delete(DeploymentName.parse(request.name))
        await self._changed()
        return Empty()


def _fields_of(mask: FieldMask, wanted: deployment_pb2.Deployment) -> set[str]:
    """The fields that are to be taken over: those of the mask, or all that are set."""
    unknown = [path for path in mask.paths if path not in _CHANGEABLE]
    if unknown:
        raise InvalidArgumentError.of_field(
            "update_mask", f"can hold {', '.join(_CHANGEABLE)}, not {', '.join(unknown)[:200]}"
        )
    return set(mask.paths) or {field.name for field, _ in wanted.ListFields() if field.name in _CHANGEABLE}
