"""`sightsmith.api.inference.v1.BatchPredictionService`."""

import asyncio
from collections.abc import AsyncIterator

from sightsmith.api.inference.v1 import batch_prediction_job_pb2 as jobs_api
from sightsmith.api.inference.v1 import batch_prediction_service_pb2 as api
from sightsmith.api.inference.v1 import batch_prediction_service_pb2_grpc as services
from sightsmith.errors import InvalidArgumentError, NotFoundError
from sightsmith.names import BatchPredictionJobName, DeploymentName, ProjectName
from sightsmith.output_places import OutputPlaces
from sightsmith.paging import PageRequest
from sightsmith.places import PlacesOf
from sightsmith.rpc import Context
from sightsmith.rpc.repeatable_requests import request_id_from_proto
from sightsmith_inference.batches.convert import job_to_proto, request_of
from sightsmith_inference.batches.finishing import Finisher
from sightsmith_inference.batches.job import BatchRequest
from sightsmith_inference.batches.jobs import BatchJobs
from sightsmith_inference.deployments import Deployments

_PREFIX_FIELD = "batch_prediction_job.output_prefix"


class BatchPredictionServicer(services.BatchPredictionServiceServicer):
    """Parses, calls, converts."""

    def __init__(
        self,
        jobs: BatchJobs,
        deployments: Deployments,
        finisher: Finisher,
        places_of: PlacesOf,
        outputs: OutputPlaces,
    ) -> None:
        self._jobs = jobs
        self._deployments = deployments
        self._finisher = finisher
        self._places_of = places_of
        self._outputs = outputs

    async def CreateBatchPredictionJob(
        self, request: api.CreateBatchPredictionJobRequest, context: Context
    ) -> jobs_api.BatchPredictionJob:
        """Queues a job."""
        project = ProjectName.parse(request.parent, "parent")
        wanted = request_of(request.batch_prediction_job, project)
        request_id = request_id_from_proto(request.request_id)
        await asyncio.to_thread(self._require_allowed, wanted, project)
        (await self._deployments.get(DeploymentName.parse(wanted.deployment))).require_hope()
        return job_to_proto(await self._jobs.create(project, wanted, request_id))

    async def GetBatchPredictionJob(
        self, request: api.GetBatchPredictionJobRequest, context: Context
    ) -> jobs_api.BatchPredictionJob:
        """Returns a job."""
        return job_to_proto(await self._jobs.get(BatchPredictionJobName.parse(request.name)))

    async def ListBatchPredictionJobs(
        self, request: api.ListBatchPredictionJobsRequest, context: Context
    ) -> api.ListBatchPredictionJobsResponse:
        """Lists the jobs of a project."""
        page = PageRequest.parse(request.page_size, request.page_token)
        jobs, token = await self._jobs.page(ProjectName.parse(request.parent, "parent"), page)
        return api.ListBatchPredictionJobsResponse(batch_prediction_jobs=map(job_to_proto, jobs), next_page_token=token)

    async def CancelBatchPredictionJob(
        self, request: api.CancelBatchPredictionJobRequest, context: Context
    ) -> jobs_api.BatchPredictionJob:
        """Stops a job."""
        return job_to_proto(await self._jobs.cancel(BatchPredictionJobName.parse(request.name)))

    async def WatchBatchPredictionJob(
        self, request: api.WatchBatchPredictionJobRequest, context: Context
    ) -> AsyncIterator[api.WatchBatchPredictionJobResponse]:
        """Tells of the changes of a job."""
        revision = request.start_revision
        if revision < 0:
            raise InvalidArgumentError.of_field("start_revision", f"must not be negative, not {revision}")
        async for job in self._jobs.watch(BatchPredictionJobName.parse(request.name), revision):
            if job is None:
                yield api.WatchBatchPredictionJobResponse(revision=revision)
            else:
                revision = job.revision
                yield api.WatchBatchPredictionJobResponse(batch_prediction_job=job_to_proto(job), revision=revision)

    async def DownloadBatchPredictionResult(
        self, request: api.DownloadBatchPredictionResultRequest, context: Context
    ) -> AsyncIterator[api.DownloadBatchPredictionResultResponse]:
        """Sends a file of results."""
        job = await self._jobs.get(BatchPredictionJobName.parse(request.name))
        found = [file for file in job.results if file.format.file_name == request.file_name]
        if not found:
            raise NotFoundError(f"{job.name}: {request.file_name[:200]}")
        (file,) = found
        if not 0 <= request.offset <= file.size_bytes:
            raise InvalidArgumentError.of_field("offset", f"must be from 0 to {file.size_bytes}, not {request.offset}")
        try:
            async for chunk in self._finisher.open(job, file, request.offset):
                yield api.DownloadBatchPredictionResultResponse(chunk=chunk)
        except FileNotFoundError:
            raise NotFoundError(file.url) from None

    def _require_allowed(self, wanted: BatchRequest, project: ProjectName) -> None:
        """Whether the places of a job may be read and written; asked again when that is done."""
        places = self._places_of(project.project)
        for field in ("url", "manifest_url"):
            if url := getattr(wanted, field):
                places.check(f"batch_prediction_job.{field}", url)
        for number, url in enumerate(wanted.image_urls):
            places.check(f"batch_prediction_job.image_urls.urls[{number}]", url)
        try:
            self._outputs.find(project.project, wanted.output_prefix)
        except ValueError as error:
            raise InvalidArgumentError.of_field(_PREFIX_FIELD, str(error)) from None
