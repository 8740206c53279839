"""`TrainingService` of the API."""

import time
from collections.abc import AsyncIterator

from sightsmith.api.training.v1 import training_job_pb2 as jobs_api
from sightsmith.api.training.v1 import training_service_pb2 as api
from sightsmith.api.training.v1 import training_service_pb2_grpc as services
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import ProjectName, SnapshotName, TrainingJobName
from sightsmith.paging import PageRequest
from sightsmith.rpc import Context
from sightsmith.rpc.repeatable_requests import request_id_from_proto
from sightsmith_training.convert import job_message
from sightsmith_training.job_options import options_from_proto
from sightsmith_training.jobs import TrainingJobs
from sightsmith_training.settings import TrainingSettings
from sightsmith_training.snapshots import Snapshots

_SEED_LIMIT = 2**32


class TrainingServicer(services.TrainingServiceServicer):
    """Parses, calls, converts."""

    def __init__(self, jobs: TrainingJobs, snapshots: Snapshots, settings: TrainingSettings) -> None:
        self._jobs = jobs
        self._snapshots = snapshots
        self._keepalive_seconds = settings.watch_keepalive_seconds
        self._max_budget_seconds = settings.max_budget_seconds
        self._output_places = settings.output_places

    async def CreateTrainingJob(self, request: api.CreateTrainingJobRequest, context: Context) -> jobs_api.TrainingJob:
        project = ProjectName.parse(request.parent, "parent").project
        name = SnapshotName.parse(request.training_job.snapshot, "training_job.snapshot")
        if name.project != project:
            rule = f"must be of the project {request.parent}, not {name}"
            raise InvalidArgumentError.of_field("training_job.snapshot", rule)
        seed = _checked_seed(request.training_job.seed)
        request_id = request_id_from_proto(request.request_id)
        options = options_from_proto(request.training_job, self._max_budget_seconds)
        self._require_allowed(project, options.output_prefix)
        snapshot = await self._snapshots.find(name, leave_out_rare_labels=options.leave_out_rare_labels)
        return job_message(await self._jobs.create(project, snapshot, seed, request_id, options))

    async def GetTrainingJob(self, request: api.GetTrainingJobRequest, context: Context) -> jobs_api.TrainingJob:
        return job_message(await self._jobs.get(TrainingJobName.parse(request.name)))

    async def ListTrainingJobs(
        self, request: api.ListTrainingJobsRequest, context: Context
    ) -> api.ListTrainingJobsResponse:
        project = ProjectName.parse(request.parent, "parent").project
        jobs, token = await self._jobs.page(project, PageRequest.parse(request.page_size, request.page_token))
        return api.ListTrainingJobsResponse(training_jobs=map(job_message, jobs), next_page_token=token)

    async def CancelTrainingJob(self, request: api.CancelTrainingJobRequest, context: Context) -> jobs_api.TrainingJob:
        return job_message(await self._jobs.cancel(TrainingJobName.parse(request.name)))

    async def WatchTrainingJob(
        self, request: api.WatchTrainingJobRequest, context: Context
    ) -> AsyncIterator[api.WatchTrainingJobResponse]:
        revision = request.start_revision
        if revision < 0:
            raise InvalidArgumentError.of_field("start_revision", f"must not be negative, not {revision}")
        last_sent = time.monotonic()
        async for job in self._jobs.watch(TrainingJobName.parse(request.name), revision):
            if job is not None:
                revision = job.revision
                yield api.WatchTrainingJobResponse(training_job=job_message(job), revision=revision)
            elif time.monotonic() - last_sent > self._keepalive_seconds:
                yield api.WatchTrainingJobResponse(revision=revision)
            else:
                continue
            last_sent = time.monotonic()

    def _require_allowed(self, project: str, output_prefix: str) -> None:
        if not output_prefix:
            return
        try:
            self._output_places.find(project, output_prefix)
        except ValueError as error:
            raise InvalidArgumentError.of_field("training_job.output_prefix", str(error)) from None


def _checked_seed(seed: int) -> int:
    if not 0 <= seed < _SEED_LIMIT:
        raise InvalidArgumentError.of_field("training_job.seed", f"must be 0 to {_SEED_LIMIT - 1}, not {seed}")
    return seed
