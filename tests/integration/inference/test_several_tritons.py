"""Two Triton servers on one model repository: both answer, and when one dies the other does."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr

from sightsmith.database import Database
from sightsmith.errors import UnavailableError
from sightsmith.names import DeploymentName
from sightsmith.objects import Objects, open_object_store
from sightsmith.stack import Stack, StackSettings
from sightsmith_inference.deployment import Deployment
from sightsmith_inference.deployments import Deployments
from sightsmith_inference.models import Models, ServableModel
from sightsmith_inference.placements import Placements
from sightsmith_inference.placing import Need, place
from sightsmith_inference.processors import Processor
from sightsmith_inference.replicas import Scale
from sightsmith_inference.routes import Routes
from sightsmith_inference.settings import InferenceSettings
from sightsmith_inference.setups import plain_setup, setup_of
from sightsmith_inference.triton_repository import TritonRepository
from sightsmith_inference.tritons import Tritons
from tests.integration.inference.conftest import BETA
from tests.integration.inference.inference_client import InferenceClient


@pytest.fixture
async def deployment(stack: Stack, client: InferenceClient) -> AsyncIterator[Deployment]:
    """A deployment that the service, which knows the first server only, has there with one replica."""
    await client.create("spread", model=BETA)
    await client.wait_running("spread", BETA)
    database = Database(stack.endpoints.database_url)
    yield await Deployments(database).get(DeploymentName("shop", "spread"))
    await database.close()
    await client.delete("spread")


async def test_two_servers(stack: Stack, deployment: Deployment) -> None:
    folder = Path(tempfile.mkdtemp(prefix="sightsmith-tests-"))
    repository = stack.endpoints.triton_repository
    settings = StackSettings(data_dir=folder, free_ports=True, triton_repository=repository)
    database = Database(stack.endpoints.database_url)
    try:
        with Stack(settings, parts=["triton"]) as second:
            await _Scene(stack, second, database, deployment).play()
    finally:
        await database.close()
        shutil.rmtree(folder, ignore_errors=True)


class _Scene:
    """The parts of the service that have to do with it, beside the service itself."""

    def __init__(self, stack: Stack, second: Stack, database: Database, deployment: Deployment) -> None:
        assert deployment.serving is not None
        (self.model,) = deployment.serving.servables
        self.first, self.other = _targets(stack, second, self.model)
        self.second, self.deployment = second, deployment
        settings = InferenceSettings(
            token=SecretStr("none"), triton_targets=(self.first, self.other), unload_delay_seconds=0
        )
        self.tritons = Tritons(settings.triton_servers)
        objects = Objects(open_object_store(stack.endpoints.object_store_url))
        repository, deployments = TritonRepository(stack.endpoints.triton_repository, objects), Deployments(database)
        self.placements = Placements(
            settings, deployments, Models(database), repository, self.tritons, Routes(deployments)
        )

    async def play(self) -> None:
        name = self.model.triton_model
        assert name in (await self.tritons.look())[self.first]
        assert sorted(await self.placements.load(Need(self.model, 2, plain_setup(Processor.CPU)))) == sorted(
            [self.first, self.other]
        )
        await self.tritons.look()
        await self._keep_asking_while_the_second_dies()
        await self._come_back_with_three_replicas()
        await self._take_away_what_is_too_much()
        await self.placements.stop()
        await self.tritons.close()

    async def _keep_asking_while_the_second_dies(self) -> None:
        stop, answers = asyncio.Event(), 0

        async def keep_asking() -> None:
            nonlocal answers
            while not stop.is_set():
                # Whatever is raised ends the test: the other server could have answered.
                (scores,) = await self.tritons.infer(self.model, self._pixels(), 20)
                assert scores.shape == (1, len(self.model.labels))
                answers += 1

        async with asyncio.TaskGroup() as callers:
            for _ in range(4):
                callers.create_task(keep_asking())
            await asyncio.sleep(0.5)
            both = [await self._requests(server) for server in (self.first, self.other)]
            await asyncio.to_thread(self.second.kill, "triton")
            at_death = answers
            while answers < at_death + 50:
                await asyncio.sleep(0.05)
            stop.set()
        assert min(both) > 0

    async def _come_back_with_three_replicas(self) -> None:
        await asyncio.to_thread(self.second.wait_ready)
        wanted = replace(self.deployment, scale=Scale(desired=3))
        setups = {server: plain_setup(Processor.CPU).times(count) for server, count in self._placed(3).items()}
        for _ in range(300):
            loaded = await self._look()
            self.placements.spread([wanted], loaded)
            if self.placements.ready_replicas(wanted, loaded) == 3:
                break
            await asyncio.sleep(0.1)
        for server, setup in setups.items():
            found = await self.tritons[server].configuration(self.model.triton_model)
            assert found is not None
            assert setup_of(found) == setup

    async def _take_away_what_is_too_much(self) -> None:
        assert list(self._placed(1)) == [self.first]
        for _ in range(300):
            loaded = await self._look()
            self.placements.spread([self.deployment], loaded)
            await self.placements.unload_unwanted([self.deployment], loaded)
            if self.model.triton_model not in loaded[self.other]:
                break
            await asyncio.sleep(0.1)
        assert self.model.triton_model in loaded[self.first]
        assert self.model.triton_model not in loaded[self.other]

    async def _look(self) -> dict[str, frozenset[str]]:
        for _ in range(300):
            loaded = dict(await self.tritons.look())
            if len(loaded) == 2:
                return loaded
            await asyncio.sleep(0.1)
        raise UnavailableError("the second server is not back")

    async def _requests(self, server: str) -> int:
        statistics = await self.tritons[server].statistics()
        return sum(model.inference_stats.success.count for model in statistics if model.name == self.model.triton_model)

    def _placed(self, replicas: int) -> dict[str, int]:
        return dict(place(self.model.triton_model, replicas, [self.first, self.other]))

    def _pixels(self) -> np.ndarray:
        return np.zeros((1, self.model.image_side, self.model.image_side, 3), np.uint8)


def _targets(stack: Stack, second: Stack, model: ServableModel) -> tuple[str, str]:
    """The two servers, spelt so that a single replica is to stand in the first, which the service knows."""
    spellings = ("", "dns:///", "ipv4:", "dns:")
    pairs = product(*([f"{way}{of.endpoints.triton_target}" for way in spellings] for of in (stack, second)))
    return next((one, two) for one, two in pairs if list(place(model.triton_model, 1, [one, two])) == [one])
