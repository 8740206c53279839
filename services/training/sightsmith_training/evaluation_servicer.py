"""`EvaluationService` of the API."""

import time
from collections.abc import AsyncIterator, Sequence

from google.protobuf.empty_pb2 import Empty

from sightsmith.api.training.v1 import evaluation_job_pb2 as jobs_api
from sightsmith.api.training.v1 import evaluation_service_pb2 as api
from sightsmith.api.training.v1 import evaluation_service_pb2_grpc as services
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import DatasetName, EvaluationJobName, EvaluationName, ModelName, ProjectName, SnapshotName
from sightsmith.paging import PageRequest
from sightsmith.rpc import Context
from sightsmith.rpc.repeatable_requests import request_id_from_proto
from sightsmith_training.convert import evaluation_job_message
from sightsmith_training.engine.specification import Split
from sightsmith_training.evaluation_convert import evaluation_message
from sightsmith_training.evaluation_jobs import EvaluationJobs
from sightsmith_training.evaluations.selection import WantedImages
from sightsmith_training.evaluations.service import Evaluations
from sightsmith_training.models import Models
from sightsmith_training.settings import TrainingSettings
from sightsmith_training.snapshots import Snapshots

_SPLITS: dict[jobs_api.EvaluationJob.Split.ValueType, Split | None] = {
    jobs_api.EvaluationJob.SPLIT_UNSPECIFIED: None,
    jobs_api.EvaluationJob.SPLIT_TRAIN: "train",
    jobs_api.EvaluationJob.SPLIT_TEST: "test",
}


class EvaluationServicer(services.EvaluationServiceServicer):
    """Parses, calls, converts."""

    def __init__(
        self,
        jobs: EvaluationJobs,
        models: Models,
        evaluations: Evaluations,
        snapshots: Snapshots,
        settings: TrainingSettings,
    ) -> None:
        self._jobs = jobs
        self._models = models
        self._evaluations = evaluations
        self._snapshots = snapshots
        self._keepalive_seconds = settings.watch_keepalive_seconds

    async def CreateEvaluationJob(
        self, request: api.CreateEvaluationJobRequest, context: Context
    ) -> jobs_api.EvaluationJob:
        project, job = ProjectName.parse(request.parent, "parent").project, request.evaluation_job
        name = ModelName.parse(job.model, "evaluation_job.model")
        if name.project != project:
            rule = f"must be of the project {request.parent}, not {name}"
            raise InvalidArgumentError.of_field("evaluation_job.model", rule)
        snapshot_name = SnapshotName.parse(job.snapshot, "evaluation_job.snapshot")
        wanted = WantedImages(split=_split(job.split), datasets=_datasets(job.datasets, snapshot_name))
        request_id = request_id_from_proto(request.request_id)
        model = await self._models.get(name)
        snapshot = await self._snapshots.find_to_judge_by(snapshot_name, model.labels)
        return evaluation_job_message(await self._jobs.create(name, snapshot, wanted, request_id))

    async def GetEvaluationJob(self, request: api.GetEvaluationJobRequest, context: Context) -> jobs_api.EvaluationJob:
        return evaluation_job_message(await self._jobs.get(EvaluationJobName.parse(request.name)))

    async def ListEvaluationJobs(
        self, request: api.ListEvaluationJobsRequest, context: Context
    ) -> api.ListEvaluationJobsResponse:
        project = ProjectName.parse(request.parent, "parent").project
        jobs, token = await self._jobs.page(project, PageRequest.parse(request.page_size, request.page_token))
        return api.ListEvaluationJobsResponse(evaluation_jobs=map(evaluation_job_message, jobs), next_page_token=token)

    async def CancelEvaluationJob(
        self, request: api.CancelEvaluationJobRequest, context: Context
    ) -> jobs_api.EvaluationJob:
        return evaluation_job_message(await self._jobs.cancel(EvaluationJobName.parse(request.name)))

    async def WatchEvaluationJob(
        self, request: api.WatchEvaluationJobRequest, context: Context
    ) -> AsyncIterator[api.WatchEvaluationJobResponse]:
        revision = request.start_revision
        if revision < 0:
            raise InvalidArgumentError.of_field("start_revision", f"must not be negative, not {revision}")
        last_sent = time.monotonic()
        async for job in self._jobs.watch(EvaluationJobName.parse(request.name), revision):
            if job is not None:
                revision = job.revision
                yield api.WatchEvaluationJobResponse(evaluation_job=evaluation_job_message(job), revision=revision)
            elif time.monotonic() - last_sent > self._keepalive_seconds:
                yield api.WatchEvaluationJobResponse(revision=revision)
            else:
                continue
            last_sent = time.monotonic()

    async def ListEvaluations(
        self, request: api.ListEvaluationsRequest, context: Context
    ) -> api.ListEvaluationsResponse:
        name = ModelName.parse(request.parent, "parent")
        page = PageRequest.parse(request.page_size, request.page_token)
        evaluations, token = await self._evaluations.page(name, page)
        return api.ListEvaluationsResponse(evaluations=map(evaluation_message, evaluations), next_page_token=token)

    async def DeleteEvaluation(self, request: api.DeleteEvaluationRequest, context: Context) -> Empty:
        await self._evaluations.delete(EvaluationName.parse(request.name))
        return Empty()


def _split(value: jobs_api.EvaluationJob.Split.ValueType) -> Split | None:
    if value not in _SPLITS:
        raise InvalidArgumentError.of_field("evaluation_job.split", f"{value} is not known")
    return _SPLITS[value]


def _datasets(names: Sequence[str], snapshot: SnapshotName) -> tuple[str, ...]:
    """Sorted, each once: the same datasets are the same request."""
    field = "evaluation_job.datasets"
    for name in names:
        if DatasetName.parse(name, field).project != snapshot.project:
            raise InvalidArgumentError.of_field(field, f"must be of the project of {snapshot}, not {name}")
    return tuple(sorted(set(names)))
