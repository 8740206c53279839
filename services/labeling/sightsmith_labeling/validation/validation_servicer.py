"""ValidationService: reads requests, calls what they are about, and converts the answers."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from sightsmith.api.labeling.v1 import validation_service_pb2 as pb
from sightsmith.api.labeling.v1.validation_job_pb2 import ValidationJob
from sightsmith.api.labeling.v1.validation_service_pb2_grpc import ValidationServiceServicer
from sightsmith.database import Database
from sightsmith.errors import FailedPreconditionError, NotFoundError
from sightsmith.names import ProjectName, UploadedFileName
from sightsmith.objects import Objects
from sightsmith.paging import PageRequest
from sightsmith.places import AllowedPlaces
from sightsmith.rpc import Context
from sightsmith.rpc.repeatable_requests import request_id_from_proto
from sightsmith_labeling.imports.uploaded_files import UploadedFiles, uploaded_files
from sightsmith_labeling.jobs.convert import finding_to_proto, severity_from_proto
from sightsmith_labeling.jobs.job import JobState
from sightsmith_labeling.jobs.jobs import Jobs
from sightsmith_labeling.settings import LabelingSettings
from sightsmith_labeling.validation.convert import (
    validation_file_from_proto,
    validation_job_to_proto,
    validation_request_from_proto,
)
from sightsmith_labeling.validation.request import VALIDATION_JOBS, ValidationRequest, validation_key


class ValidationServicer(ValidationServiceServicer):
    """Answers the calls of `sightsmith.api.labeling.v1.ValidationService`; the protos say what each does."""

    def __init__(self, jobs: Jobs, files: UploadedFiles, places: AllowedPlaces, objects: Objects) -> None:
        self._jobs = jobs
        self._files = files
        self._places = places
        self._objects = objects

    async def CreateValidationJob(self, request: pb.CreateValidationJobRequest, context: Context) -> ValidationJob:
        project = ProjectName.parse(request.parent, "parent")
        wanted = validation_request_from_proto(project, request.validation_job, self._places)
        await self._require_sources(wanted)
        spec = wanted.model_dump(mode="json")
        job = await self._jobs.create(project, VALIDATION_JOBS, spec, request_id_from_proto(request.request_id))
        return validation_job_to_proto(job)

    async def GetValidationJob(self, request: pb.GetValidationJobRequest, context: Context) -> ValidationJob:
        return validation_job_to_proto(await self._jobs.get(VALIDATION_JOBS, request.name))

    async def ListValidationJobs(
        self, request: pb.ListValidationJobsRequest, context: Context
    ) -> pb.ListValidationJobsResponse:
        project = ProjectName.parse(request.parent, "parent")
        page = PageRequest.parse(request.page_size, request.page_token)
        jobs, token = await self._jobs.list(VALIDATION_JOBS, project, page)
        return pb.ListValidationJobsResponse(validation_jobs=map(validation_job_to_proto, jobs), next_page_token=token)

    async def CancelValidationJob(self, request: pb.CancelValidationJobRequest, context: Context) -> ValidationJob:
        return validation_job_to_proto(await self._jobs.cancel(VALIDATION_JOBS, request.name))

    async def WatchValidationJob(
        self, request: pb.WatchValidationJobRequest, context: Context
    ) -> AsyncIterator[pb.WatchValidationJobResponse]:
        revision = request.start_revision
        async with aclosing(self._jobs.watch(VALIDATION_JOBS, request.name, revision)) as changes:
            async for job in changes:
                revision = job.revision if job else revision
                shown = validation_job_to_proto(job) if job else None
                yield pb.WatchValidationJobResponse(validation_job=shown, revision=revision)

    async def ListValidationFindings(
        self, request: pb.ListValidationFindingsRequest, context: Context
    ) -> pb.ListValidationFindingsResponse:
        page = PageRequest.parse(request.page_size, request.page_token)
        severity, code = severity_from_proto(request.severity), request.code or None
        found, token = await self._jobs.findings(request.parent, page, severity, VALIDATION_JOBS, code)
        return pb.ListValidationFindingsResponse(findings=map(finding_to_proto, found), next_page_token=token)

    async def DownloadValidationFile(
        self, request: pb.DownloadValidationFileRequest, context: Context
    ) -> AsyncIterator[pb.DownloadValidationFileResponse]:
        file = validation_file_from_proto(request.file)
        job = await self._jobs.get(VALIDATION_JOBS, request.name)
        if job.state is not JobState.SUCCEEDED:
            message = f"{job.name} has no files: it is {job.state.value}"
            raise FailedPreconditionError(message, metadata={"state": job.state.value})
        try:
            async with aclosing(self._objects.chunks(validation_key(job.name.project, job.name.job, file))) as chunks:
                async for chunk in chunks:
                    yield pb.DownloadValidationFileResponse(chunk=chunk)
        except FileNotFoundError:
            raise NotFoundError(f"{file.value} of {job.name}") from None

    async def _require_sources(self, wanted: ValidationRequest) -> None:
        """What is not there is told at once, not by a job that fails."""
        for source in (wanted.train, wanted.test):
            if source is not None and source.uploaded_file is not None:
                await self._files.get(UploadedFileName.parse(source.uploaded_file))


def validation_servicer(settings: LabelingSettings, database: Database, objects: Objects) -> ValidationServicer:
    """What answers about validations."""
    jobs = Jobs(database, settings.watch_interval_seconds, settings.watch_keepalive_seconds)
    files = uploaded_files(settings, database, objects)
    return ValidationServicer(jobs, files, settings.import_places, objects)
