"""`RetrainingService` of the API."""

from sightsmith.api.training.v1 import retraining_pb2
from sightsmith.api.training.v1 import retraining_service_pb2 as api
from sightsmith.api.training.v1 import retraining_service_pb2_grpc as services
from sightsmith.names import DeploymentName, ProjectName, RetrainingName, RetrainingPolicyName
from sightsmith.paging import PageRequest
from sightsmith.rpc import Context
from sightsmith.rpc.repeatable_requests import request_id_from_proto
from sightsmith_training.retraining.convert import (
    effort_from_proto,
    policy_from_proto,
    policy_message,
    retraining_message,
)
from sightsmith_training.retraining.retrainings import Retrainings
from sightsmith_training.retraining.work import RetrainingWork


class RetrainingServicer(services.RetrainingServiceServicer):
    """Parses, calls, converts."""

    def __init__(self, retrainings: Retrainings, work: RetrainingWork) -> None:
        self._retrainings = retrainings
        self._work = work

    async def RetrainDeployment(
        self, request: api.RetrainDeploymentRequest, context: Context
    ) -> retraining_pb2.Retraining:
        deployment = DeploymentName.parse(request.deployment, "deployment")
        effort, request_id = effort_from_proto(request.effort, "effort"), request_id_from_proto(request.request_id)
        baseline = await self._work.answering(deployment)
        retraining = await self._retrainings.begin(
            deployment, baseline, effort, only_if_better=request.only_if_better, request_id=request_id
        )
        return retraining_message(retraining)

    async def GetRetraining(self, request: api.GetRetrainingRequest, context: Context) -> retraining_pb2.Retraining:
        return retraining_message(await self._retrainings.get(RetrainingName.parse(request.name)))

    async def ListRetrainings(
        self, request: api.ListRetrainingsRequest, context: Context
    ) -> api.ListRetrainingsResponse:
        project = ProjectName.parse(request.parent, "parent").project
        page = PageRequest.parse(request.page_size, request.page_token)
        found, token = await self._retrainings.page(project, page)
        return api.ListRetrainingsResponse(retrainings=map(retraining_message, found), next_page_token=token)

    async def GetRetrainingPolicy(
        self, request: api.GetRetrainingPolicyRequest, context: Context
    ) -> retraining_pb2.RetrainingPolicy:
        return await self._policy(RetrainingPolicyName.parse(request.name))

    async def UpdateRetrainingPolicy(
        self, request: api.UpdateRetrainingPolicyRequest, context: Context
    ) -> retraining_pb2.RetrainingPolicy:
        name = RetrainingPolicyName.parse(request.retraining_policy.name, "retraining_policy.name")
        policy = policy_from_proto(request.retraining_policy)
        # No policy of what is not there.
        await self._work.answering(name.of_deployment)
        await self._retrainings.set_policy(name.of_deployment, policy)
        return await self._policy(name)

    async def _policy(self, name: RetrainingPolicyName) -> retraining_pb2.RetrainingPolicy:
        policy, corrections = await self._retrainings.policy(name.of_deployment)
        return policy_message(name, policy, corrections)
