"""Model versions that are proposed for deployments, until somebody accepts or dismisses them."""

from pydantic import TypeAdapter

from sightsmith.database import Database
from sightsmith.errors import AbortedError, FailedPreconditionError
from sightsmith.names import DeploymentName, ModelName
from sightsmith_inference import stored_deployments as stored
from sightsmith_inference.deployment import Deployment, Proposal
from sightsmith_inference.deployments import Deployments
from sightsmith_inference.models import RECOMMENDED
from sightsmith_inference.releases import Target

CANARY = "canary"
"""The alias by which a proposed model gets traffic before it is accepted."""


class Proposals:
    """Proposes, and does with proposals what people decide."""

    def __init__(self, database: Database, deployments: Deployments) -> None:
        self._database = database
        self._deployments = deployments

    async def propose(self, name: DeploymentName, proposal: Proposal, canary_share: float) -> Deployment:
        """Proposes a model version in place of an earlier proposal, and may give it a share of the traffic at once.

        Doing so again changes nothing.

        Raises:
            NotFoundError: if there is no such deployment.
            FailedPreconditionError: if the model answers already, or other aliases have the traffic.
        """
        deployment = await self._deployments.get(name)
        if deployment.wanted.live.model == proposal.model:
            raise FailedPreconditionError(f"{proposal.model} is the model of {name} already")
        if canary_share and not _canary_of(deployment, proposal.model):
            others = [target for target in deployment.wanted.others if target.alias != CANARY]
            if sum(target.share for target in others if not target.is_shadow) + canary_share > 1:
                raise FailedPreconditionError(f"the aliases of {name} leave less than {canary_share:g} of the traffic")
            canary = Target(CANARY, proposal.model, RECOMMENDED, canary_share)
            await self._deployments.update(name, None, None, aliases=[*others, canary])
        return await self._write(name, proposal)

    async def accept(self, name: DeploymentName, model: str = "") -> Deployment:
        """Wishes for the proposed model, which takes over as in any update; a canary of it is dropped.

        Args:
            name: of the deployment.
            model: that is meant; empty for whichever is proposed.

        Raises:
            NotFoundError: if there is no such deployment.
            FailedPreconditionError: if nothing is proposed.
            AbortedError: if another model is.
        """
        deployment = await self._deployments.get(name)
        proposal = _proposal_of(deployment)
        if model and model != proposal.model:
            raise AbortedError(f"{proposal.model} is proposed by now, not {model}", metadata={"model": proposal.model})
        wanted = ModelName.parse(proposal.model)
        return await self._deployments.update(name, wanted, None, aliases=_without_canary(deployment, proposal.model))

    async def dismiss(self, name: DeploymentName) -> Deployment:
        """Forgets a proposal; a canary of it gets no more traffic.

        Raises:
            NotFoundError: if there is no such deployment.
            FailedPreconditionError: if nothing is proposed.
        """
        deployment = await self._deployments.get(name)
        proposal = _proposal_of(deployment)
        if _canary_of(deployment, proposal.model):
            await self._deployments.update(name, None, None, aliases=_without_canary(deployment, proposal.model))
        return await self._write(name, None)

    async def _write(self, name: DeploymentName, proposal: Proposal | None) -> Deployment:
        async with self._database.transaction() as session:
            row = await stored.locked(session, name)
            row.proposal = TypeAdapter(Proposal).dump_python(proposal, mode="json") if proposal else None
            row.revision += 1
            await session.flush()
            return await stored.get(session, name)


def _proposal_of(deployment: Deployment) -> Proposal:
    if deployment.proposal is None:
        raise FailedPreconditionError(f"nothing is proposed for {deployment.name}")
    return deployment.proposal


def _canary_of(deployment: Deployment, model: str) -> bool:
    return any(target.alias == CANARY and target.model == model for target in deployment.wanted.others)


def _without_canary(deployment: Deployment, model: str) -> list[Target]:
    return [target for target in deployment.wanted.others if (target.alias, target.model) != (CANARY, model)]
