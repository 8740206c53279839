"""What the answers of the training service, or the lack of them, mean."""

import pytest
from grpc import aio
from pydantic import SecretStr

from sightsmith.errors import NotFoundError, UnavailableError
from sightsmith.rpc.service_channel import service_channel
from sightsmith.settings import Settings
from sightsmith_inference.trained_models import TrainedModels
from tests.integration.inference.conftest import TOKEN
from tests.integration.inference.training_stand_in import TrainingStandIn


async def test_out_of_reach_says_nothing_about_the_model() -> None:
    async with aio.insecure_channel("127.0.0.1:1") as channel:
        with pytest.raises(UnavailableError) as raised:
            await TrainedModels(channel).get("projects/shop/models/v1")
    assert raised.value.metadata == {"service": "training"}


async def test_a_token_that_is_refused_says_nothing_about_the_model(training: tuple[TrainingStandIn, int]) -> None:
    async with aio.insecure_channel(f"127.0.0.1:{training[1]}") as channel:
        with pytest.raises(UnavailableError, match="token"):
            await TrainedModels(channel).get("projects/shop/models/v1")


async def test_unknown_model(training: tuple[TrainingStandIn, int]) -> None:
    async with service_channel(f"127.0.0.1:{training[1]}", Settings(token=SecretStr(TOKEN))) as channel:
        with pytest.raises(NotFoundError):
            await TrainedModels(channel).get("projects/shop/models/nothing")
