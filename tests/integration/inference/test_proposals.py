"""Model versions that are proposed for a deployment."""

from collections.abc import AsyncIterator

import pytest

from sightsmith.errors import SightsmithError
from tests.integration.inference.conftest import ALPHA, BETA, png
from tests.integration.inference.inference_client import InferenceClient


@pytest.fixture
async def deployment(client: InferenceClient) -> AsyncIterator[str]:
    """A deployment of `alpha`."""
    await client.create("improved", model=ALPHA)
    await client.wait_predicting("improved", png(1))
    yield "improved"
    await client.delete("improved")


async def test_a_proposed_model_answers_once_it_is_accepted(client: InferenceClient, deployment: str) -> None:
    proposed = await client.propose(deployment, model=BETA, statement="better by far")
    assert (proposed.proposal.model, proposed.proposal.statement) == (BETA, "better by far")
    assert (proposed.model, proposed.serving_model) == (ALPHA, ALPHA)
    with pytest.raises(SightsmithError, match="is proposed by now"):
        await client.accept(deployment, "projects/shop/models/other")
    accepted = await client.accept(deployment, BETA)
    assert accepted.model == BETA
    assert not accepted.HasField("proposal")
    assert (await client.wait_running(deployment, BETA)).serving_model == BETA
    with pytest.raises(SightsmithError, match="nothing is proposed"):
        await client.accept(deployment)
    with pytest.raises(SightsmithError, match="already"):
        await client.propose(deployment, model=BETA)


async def test_a_canary_of_a_proposal_comes_and_goes_with_it(client: InferenceClient, deployment: str) -> None:
    for _ in range(2):
        proposed = await client.propose(deployment, model=BETA, canary_share=0.2)
    (canary,) = proposed.aliases
    assert (canary.alias, canary.model, canary.share, proposed.release) == ("canary", BETA, 0.2, 2)
    assert (await client.wait_predicting(f"{deployment}@canary", png(1))).model == BETA
    dismissed = await client.dismiss(deployment)
    assert not dismissed.aliases
    assert not dismissed.HasField("proposal")
    assert dismissed.model == ALPHA
    with pytest.raises(SightsmithError) as refused:
        await client.propose(deployment, model=BETA, canary_share=1.5)
    assert [violation.field for violation in refused.value.violations] == ["proposal.canary_share"]
