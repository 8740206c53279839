"""What is to be done for retrainings: a snapshot, a training, a comparison, and a proposal."""

import asyncio
import uuid

import grpc
from google.rpc import code_pb2

from sightsmith.api.inference.v1.deployment_pb2 import Proposal
from sightsmith.api.inference.v1.deployment_service_pb2 import GetDeploymentRequest, ProposeModelRequest
from sightsmith.api.inference.v1.deployment_service_pb2_grpc import DeploymentServiceStub
from sightsmith.api.labeling.v1.snapshot_service_pb2 import CreateSnapshotRequest
from sightsmith.api.labeling.v1.snapshot_service_pb2_grpc import SnapshotServiceStub
from sightsmith.errors import InvalidArgumentError, NotFoundError, SightsmithError
from sightsmith.logs import get_logger
from sightsmith.names import DeploymentName, EvaluationName, ModelName, ProjectName, SnapshotName, TrainingJobName
from sightsmith.rpc.channel import error_of
from sightsmith_training.engine.specification import TrainingOptions
from sightsmith_training.evaluations.service import Evaluations
from sightsmith_training.jobs import JobError, JobState, TrainingJobs
from sightsmith_training.retraining.retraining import ComparedFigure, Retraining, RetrainingState
from sightsmith_training.retraining.retrainings import Retrainings
from sightsmith_training.snapshots import Snapshots

# Taking a snapshot reads everything that is labelled.
_SNAPSHOT_SECONDS, _TIMEOUT_SECONDS = 300.0, 30.0
_PASSING = {code_pb2.UNAVAILABLE, code_pb2.DEADLINE_EXCEEDED, code_pb2.RESOURCE_EXHAUSTED, code_pb2.ABORTED}
_log = get_logger(__name__)


class RetrainingWork:
    """Brings retrainings on, step by step.

    A step can be done again, by another replica or after a crash: what it asks for carries the retraining's id.
    """

    def __init__(
        self,
        retrainings: Retrainings,
        snapshots: Snapshots,
        jobs: TrainingJobs,
        evaluations: Evaluations,
        labeling: grpc.aio.Channel,
        inference: grpc.aio.Channel,
    ) -> None:
        self._retrainings = retrainings
        self._snapshots = snapshots
        self._jobs = jobs
        self._evaluations = evaluations
        self._labeling = SnapshotServiceStub(labeling)
        self._deployments = DeploymentServiceStub(inference)

    async def run(self, seconds: float) -> None:
        """Looks every so many seconds for what is to be done, until cancelled."""
        while True:
            try:
                for retraining, request_id in await self._retrainings.open_ones():
                    await self._bring_on(retraining, request_id)
            except SightsmithError as error:
                _log.warning("retrainings wait", error=error.message)
            await asyncio.sleep(seconds)

    async def answering(self, deployment: DeploymentName) -> str:
        """The model that answers for a deployment, or is to.

        Raises:
            NotFoundError: if there is no such deployment.
            UnavailableError: if inference cannot be asked.
        """
        request = GetDeploymentRequest(name=str(deployment))
        try:
            found = await self._deployments.GetDeployment(request, timeout=_TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            raise error_of(error) from error
        return found.serving_model or found.model

    async def _bring_on(self, retraining: Retraining, request_id: uuid.UUID) -> None:
        try:
            if retraining.state is RetrainingState.PREPARING:
                await self._prepare(retraining, request_id)
            else:
                await self._judge(retraining)
        except SightsmithError as error:
            if error.code in _PASSING:
                _log.warning("a retraining waits", retraining=retraining.name, error=error.message)
                return
            await self._fail(retraining, JobError(reason=error.reason, message=error.message, metadata=error.metadata))

    async def _prepare(self, retraining: Retraining, request_id: uuid.UUID) -> None:
        parent = str(ProjectName(retraining.project))
        request = CreateSnapshotRequest(parent=parent, request_id=str(request_id))
        try:
            taken = await self._labeling.CreateSnapshot(request, timeout=_SNAPSHOT_SECONDS)
        except grpc.RpcError as error:
            raise error_of(error) from error
        snapshot = await self._snapshots.find(SnapshotName.parse(taken.name))
        options = TrainingOptions(effort=retraining.effort)
        job = await self._jobs.create(retraining.project, snapshot, 0, request_id, options)
        await self._retrainings.advance(
            retraining, RetrainingState.TRAINING, snapshot=snapshot.name, training_job=job.name
        )

    async def _judge(self, retraining: Retraining) -> None:
        job = await self._jobs.get(TrainingJobName.parse(retraining.training_job or ""))
        if not job.state.is_final:
            return
        if job.state is not JobState.SUCCEEDED or job.model is None:
            cancelled = JobError(reason="WRONG_STATE", message=f"{job.name} was cancelled")
            await self._fail(retraining, job.error or cancelled)
            return
        compared = await self._compare(retraining.baseline, job.model)
        state = RetrainingState.NOT_BETTER
        if not retraining.only_if_better or (compared is not None and compared.is_better):
            await self._propose(retraining, job.model, compared)
            state = RetrainingState.PROPOSED
        comparison = compared.model_dump() if compared is not None else None
        await self._retrainings.advance(retraining, state, model=job.model, comparison=comparison)

    async def _compare(self, baseline: str, candidate: str) -> ComparedFigure | None:
        """Compares by the images that both models were judged by; None if there are none, or a model is gone."""
        names = [ModelName.parse(model) for model in (baseline, candidate)]
        before, after = (EvaluationName(name.project, name.model) for name in names)
        try:
            comparison = await self._evaluations.compare(before, after)
        except (NotFoundError, InvalidArgumentError) as error:
            _log.info("models are not compared", baseline=baseline, candidate=candidate, why=error.message)
            return None
        first = comparison.figures[0]
        return ComparedFigure(
            figure=first.figure,
            baseline=first.first,
            candidate=first.second,
            p_value=first.p_value,
            significant=first.significant,
            images=comparison.images,
            statement=first.statement,
        )

    async def _propose(self, retraining: Retraining, model: str, compared: ComparedFigure | None) -> None:
        statement = compared.statement if compared else f"trained anew; nothing to compare with {retraining.baseline}"
        proposal = Proposal(model=model, statement=statement, canary_share=retraining.canary_share)
        request = ProposeModelRequest(name=retraining.deployment, proposal=proposal)
        try:
            await self._deployments.ProposeModel(request, timeout=_TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            raise error_of(error) from error
        _log.info("a model is proposed", deployment=retraining.deployment, model=model)

    async def _fail(self, retraining: Retraining, error: JobError) -> None:
        _log.warning("a retraining failed", retraining=retraining.name, error=error.message)
        await self._retrainings.advance(retraining, RetrainingState.FAILED, error=error.model_dump())
