"""Stands in for labeling and inference at the boundary of their processes: the same API, the same server.

They live in a thread of their own, so that a test may wait for a command that asks a service that asks them.
"""

import asyncio
import threading
from typing import Any

from grpc import aio

from sightsmith.api.inference.v1 import deployment_service_pb2 as deployments_api
from sightsmith.api.inference.v1 import deployment_service_pb2_grpc
from sightsmith.api.inference.v1.deployment_pb2 import Deployment
from sightsmith.api.labeling.v1 import labeling_service_pb2_grpc, snapshot_service_pb2_grpc
from sightsmith.api.labeling.v1.labeling_service_pb2 import GetProjectRequest
from sightsmith.api.labeling.v1.project_pb2 import Project
from sightsmith.api.labeling.v1.snapshot_pb2 import Snapshot
from sightsmith.api.labeling.v1.snapshot_service_pb2 import GetSnapshotRequest
from sightsmith.errors import NotFoundError, UnavailableError
from sightsmith.rpc.server import RpcServer
from sightsmith.settings import Settings

_Context = aio.ServicerContext[Any, Any]
_PAGE_SIZE = 2


class Neighbours(
    labeling_service_pb2_grpc.LabelingServiceServicer,
    snapshot_service_pb2_grpc.SnapshotServiceServicer,
    deployment_service_pb2_grpc.DeploymentServiceServicer,
):
    """Know the projects, snapshots and deployments that were put into them."""

    def __init__(self) -> None:
        self.projects: set[str] = set()
        self.snapshots: dict[str, Snapshot] = {}
        self.deployments: list[Deployment] = []
        self.proposed: list[deployments_api.ProposeModelRequest] = []
        self.inference_is_away = False
        self.target = ""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._started = threading.Event()

    async def GetProject(self, request: GetProjectRequest, context: _Context) -> Project:
        if request.name not in self.projects:
            raise NotFoundError(request.name)
        return Project(name=request.name)

    async def GetSnapshot(self, request: GetSnapshotRequest, context: _Context) -> Snapshot:
        if request.name not in self.snapshots:
            raise NotFoundError(request.name)
        return self.snapshots[request.name]

    async def ListDeployments(
        self, request: deployments_api.ListDeploymentsRequest, context: _Context
    ) -> deployments_api.ListDeploymentsResponse:
        """Pages of two, whatever is asked for: a caller must read them all."""
        if self.inference_is_away:
            raise UnavailableError("Triton is away")
        begin = int(request.page_token or 0)
        found = [item for item in self.deployments if item.name.startswith(f"{request.parent}/")]
        token = str(begin + _PAGE_SIZE) if begin + _PAGE_SIZE < len(found) else ""
        return deployments_api.ListDeploymentsResponse(
            deployments=found[begin : begin + _PAGE_SIZE], next_page_token=token
        )

    async def ProposeModel(self, request: deployments_api.ProposeModelRequest, context: _Context) -> Deployment:
        self.proposed.append(request)
        return Deployment(name=request.name, proposal=request.proposal)

    def start(self, settings: Settings) -> None:
        self._settings = settings
        self._thread.start()
        assert self._started.wait(30)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = RpcServer(self._settings)
        for register, service in (
            (labeling_service_pb2_grpc.add_LabelingServiceServicer_to_server, "labeling.v1.LabelingService"),
            (snapshot_service_pb2_grpc.add_SnapshotServiceServicer_to_server, "labeling.v1.SnapshotService"),
            (deployment_service_pb2_grpc.add_DeploymentServiceServicer_to_server, "inference.v1.DeploymentService"),
        ):
            server.add(register, self, f"sightsmith.api.{service}")
        self.target = await server.start()
        self._started.set()
        await self._stop.wait()
        await server.stop()
