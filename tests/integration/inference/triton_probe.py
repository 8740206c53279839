"""Asks Triton itself what it has loaded."""

import asyncio
import time

from grpc import aio
from tritonclient.grpc import service_pb2, service_pb2_grpc

_WAIT_SECONDS = 30.0


class TritonProbe:
    """A client of Triton."""

    def __init__(self, target: str) -> None:
        self._channel = aio.insecure_channel(target)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    async def loaded(self) -> set[str]:
        index = await self._stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(ready=True))
        return {model.name for model in index.models}

    async def instances(self, name: str) -> int:
        """How many instances of a model there are."""
        config = (await self._stub.ModelConfig(service_pb2.ModelConfigRequest(name=name))).config
        return sum(group.count for group in config.instance_group)

    async def wait_unloaded(self, name: str) -> None:
        deadline = time.monotonic() + _WAIT_SECONDS
        while name in await self.loaded():
            assert time.monotonic() < deadline, f"{name} is still loaded"
            await asyncio.sleep(0.1)

    async def close(self) -> None:
        await self._channel.close()
