"""Deployments: who answers under a name, and who did before."""

import time
from collections.abc import Iterator, Sequence

from google.rpc import code_pb2

from sightsmith.api.inference.v1 import deployment_pb2
from sightsmith.api.inference.v1 import deployment_service_pb2 as pb
from sightsmith.api.inference.v1.deployment_service_pb2_grpc import DeploymentServiceStub
from sightsmith.client.calls import all_pages, calling
from sightsmith.errors import SightsmithError
from sightsmith.names import DeploymentName, ProjectName

_RECONNECT_SECONDS = 1.0


class Serving:
    """Shares the traffic of deployments among model versions, stops and starts them, and goes back.

    None of the methods waits until what is wished for is true: `Client.wait_for_deployment` does.
    """

    def __init__(self, stub: DeploymentServiceStub) -> None:
        self._stub = stub

    def list(self, project: str) -> Iterator[deployment_pb2.Deployment]:
        """The deployments of a project, by id."""
        parent = str(ProjectName(project))
        return all_pages(
            lambda token: self._stub.ListDeployments(pb.ListDeploymentsRequest(parent=parent, page_token=token)),
            lambda page: page.deployments,
        )

    def share(
        self, project: str, deployment: str, aliases: Sequence[deployment_pb2.Alias], model: str = ""
    ) -> deployment_pb2.Deployment:
        """Lets other model versions answer beside a deployment's own, or look on; all others are dropped.

        Args:
            project: id of the project.
            deployment: id of the deployment.
            aliases: the model versions with their shares; none to leave all traffic to the deployment's own model.
            model: `projects/{project}/models/{model}`, if the deployment's own model is to be another one, too.
        """
        wanted = deployment_pb2.Deployment(name=_name(project, deployment), aliases=aliases, model=model)
        request = pb.UpdateDeploymentRequest(deployment=wanted)
        request.update_mask.paths.extend(["aliases", "model"] if model else ["aliases"])
        with calling():
            return self._stub.UpdateDeployment(request)

    def scale(self, project: str, deployment: str, replicas: deployment_pb2.Replicas) -> deployment_pb2.Deployment:
        """Lets a deployment have so many replicas; what answers is not disturbed."""
        wanted = deployment_pb2.Deployment(name=_name(project, deployment), replicas=replicas)
        request = pb.UpdateDeploymentRequest(deployment=wanted)
        request.update_mask.paths.append("replicas")
        with calling():
            return self._stub.UpdateDeployment(request)

    def roll_back(self, project: str, deployment: str, release: int = 0) -> deployment_pb2.Deployment:
        """Goes back to what answered before, or to one of the `past_releases` by its number."""
        request = pb.RollbackDeploymentRequest(name=_name(project, deployment), release=release)
        with calling():
            return self._stub.RollbackDeployment(request)

    def accept(self, project: str, deployment: str, model: str = "") -> deployment_pb2.Deployment:
        """Puts the proposed model behind the name; with `model` only if that is the one that is proposed."""
        with calling():
            return self._stub.AcceptProposal(pb.AcceptProposalRequest(name=_name(project, deployment), model=model))

    def dismiss(self, project: str, deployment: str) -> deployment_pb2.Deployment:
        """Forgets the proposed model; a canary of it gets no more traffic."""
        with calling():
            return self._stub.DismissProposal(pb.DismissProposalRequest(name=_name(project, deployment)))

    def stop(self, project: str, deployment: str) -> deployment_pb2.Deployment:
        """Takes a deployment out of service; everything that was set is kept."""
        with calling():
            return self._stub.StopDeployment(pb.StopDeploymentRequest(name=_name(project, deployment)))

    def wait_until_stopped(self, project: str, deployment: str) -> deployment_pb2.Deployment:
        """Waits until a deployment that was stopped holds no model any more, or somebody starts it again."""
        stopping = deployment_pb2.Deployment.STATE_STOPPING
        return next(found for found in self.watch(project, deployment) if found.state != stopping)

    def start(self, project: str, deployment: str) -> deployment_pb2.Deployment:
        """Puts a deployment into service again."""
        with calling():
            return self._stub.StartDeployment(pb.StartDeploymentRequest(name=_name(project, deployment)))

    def delete(self, project: str, deployment: str) -> None:
        """Takes a deployment out of service and forgets it."""
        with calling():
            self._stub.DeleteDeployment(pb.DeleteDeploymentRequest(name=_name(project, deployment)))

    def watch(self, project: str, deployment: str) -> Iterator[deployment_pb2.Deployment]:
        """How a deployment stands, and then every change of it; reconnects when a connection breaks."""
        request = pb.WatchDeploymentRequest(name=_name(project, deployment))
        while True:
            try:
                with calling():
                    for change in self._stub.WatchDeployment(request):
                        request.start_revision = change.revision
                        if change.HasField("deployment"):
                            yield change.deployment
            except SightsmithError as error:
                if error.code != code_pb2.UNAVAILABLE:
                    raise
            time.sleep(_RECONNECT_SECONDS)


def _name(project: str, deployment: str) -> str:
    return str(DeploymentName(project, deployment))
