"""Training the models of deployments anew."""

import time
import uuid
from collections.abc import Iterator

import grpc

from sightsmith.api.training.v1 import retraining_service_pb2 as pb
from sightsmith.api.training.v1.retraining_pb2 import Retraining, RetrainingPolicy
from sightsmith.api.training.v1.retraining_service_pb2_grpc import RetrainingServiceStub
from sightsmith.api.training.v1.training_job_pb2 import TrainingJob
from sightsmith.client.calls import all_pages, calling
from sightsmith.names import DeploymentName, ProjectName, RetrainingPolicyName
from sightsmith.rpc.status import from_status

_LOOK_SECONDS = 0.5
_UNDER_WAY = (Retraining.STATE_PREPARING, Retraining.STATE_TRAINING)


class Retrainings:
    """Begins retrainings, tells how they stand, and when they begin by themselves.

    Every method raises `SightsmithError` with the reason that the service gave.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = RetrainingServiceStub(channel)

    def begin(
        self,
        project: str,
        deployment: str,
        effort: TrainingJob.Effort.ValueType = TrainingJob.EFFORT_UNSPECIFIED,
        *,
        only_if_better: bool = False,
    ) -> Retraining:
        """Trains a deployment's model anew on what is labelled by now, and proposes the new one.

        Args:
            project: id of the project.
            deployment: id of the deployment.
            effort: how much is tried.
            only_if_better: whether the new model is only proposed if it is better by more than chance.
        """
        request = pb.RetrainDeploymentRequest(
            deployment=str(DeploymentName(project, deployment)),
            effort=effort,
            only_if_better=only_if_better,
            request_id=str(uuid.uuid4()),
        )
        with calling():
            return self._stub.RetrainDeployment(request)

    def get(self, name: str) -> Retraining:
        """A retraining, by `projects/{project}/retrainings/{retraining}`."""
        with calling():
            return self._stub.GetRetraining(pb.GetRetrainingRequest(name=name))

    def list(self, project: str) -> Iterator[Retraining]:
        """The retrainings of a project, newest first."""
        parent = str(ProjectName(project))
        return all_pages(
            lambda token: self._stub.ListRetrainings(pb.ListRetrainingsRequest(parent=parent, page_token=token)),
            lambda page: page.retrainings,
        )

    def wait(self, name: str) -> Retraining:
        """Waits for the end of a retraining.

        Raises:
            SightsmithError: its own error, if it failed.
        """
        while (retraining := self.get(name)).state in _UNDER_WAY:
            time.sleep(_LOOK_SECONDS)
        if retraining.HasField("error"):
            raise from_status(retraining.error)
        return retraining

    def policy(self, project: str, deployment: str) -> RetrainingPolicy:
        """When a deployment's model is trained anew by itself."""
        name = str(RetrainingPolicyName(project, deployment))
        with calling():
            return self._stub.GetRetrainingPolicy(pb.GetRetrainingPolicyRequest(name=name))

    def set_policy(self, project: str, deployment: str, policy: RetrainingPolicy) -> RetrainingPolicy:
        """Says when a deployment's model is trained anew by itself; the policy's name is filled in."""
        wanted = RetrainingPolicy()
        wanted.CopyFrom(policy)
        wanted.name = str(RetrainingPolicyName(project, deployment))
        with calling():
            return self._stub.UpdateRetrainingPolicy(pb.UpdateRetrainingPolicyRequest(retraining_policy=wanted))
