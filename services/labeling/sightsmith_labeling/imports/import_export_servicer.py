"""ImportExportService: reads requests, calls what they are about, and converts the answers."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from sightsmith.api.labeling.v1 import import_export_service_pb2 as pb
from sightsmith.api.labeling.v1.export_job_pb2 import ExportJob
from sightsmith.api.labeling.v1.import_export_service_pb2_grpc import ImportExportServiceServicer
from sightsmith.api.labeling.v1.import_job_pb2 import ImportJob
from sightsmith.api.labeling.v1.uploaded_file_pb2 import UploadedFile
from sightsmith.database import Database
from sightsmith.errors import FailedPreconditionError, NotFoundError
from sightsmith.names import DatasetName, ProjectName, UploadedFileName
from sightsmith.objects import Objects
from sightsmith.paging import PageRequest
from sightsmith.rpc import Context
from sightsmith.rpc.repeatable_requests import request_id_from_proto
from sightsmith_labeling.datasets import Datasets
from sightsmith_labeling.exports.convert import export_job_to_proto, export_request_from_proto
from sightsmith_labeling.exports.request import EXPORT_JOBS, export_key
from sightsmith_labeling.imports.convert import (
    import_job_to_proto,
    import_request_from_proto,
    upload_chunks,
    upload_header,
    uploaded_file_to_proto,
)
from sightsmith_labeling.imports.report import report_chunks
from sightsmith_labeling.imports.request import IMPORT_JOBS, ImportRequest
from sightsmith_labeling.imports.uploaded_files import UploadedFiles, uploaded_files
from sightsmith_labeling.jobs.convert import finding_to_proto, severity_from_proto
from sightsmith_labeling.jobs.job import Job, JobState
from sightsmith_labeling.jobs.jobs import Jobs
from sightsmith_labeling.project_labels import Labels
from sightsmith_labeling.quotas import Quotas
from sightsmith_labeling.settings import LabelingSettings


class ImportExportServicer(ImportExportServiceServicer):
    """Answers the calls of `sightsmith.api.labeling.v1.ImportExportService`; the protos say what each does."""

    def __init__(
        self,
        settings: LabelingSettings,
        jobs: Jobs,
        files: UploadedFiles,
        datasets: Datasets,
        labels: Labels,
        objects: Objects,
    ) -> None:
        self._jobs = jobs
        self._files = files
        self._datasets = datasets
        self._labels = labels
        self._objects = objects
        self._places = settings.import_places
        self._max_rejected_fraction = settings.max_rejected_fraction
        self._export_days = settings.export_days

    async def UploadFile(self, request_iterator: AsyncIterator[pb.UploadFileRequest], context: Context) -> UploadedFile:
        header = await upload_header(request_iterator)
        return uploaded_file_to_proto(await self._files.receive(header, upload_chunks(request_iterator)))

    async def CreateImportJob(self, request: pb.CreateImportJobRequest, context: Context) -> ImportJob:
        project = ProjectName.parse(request.parent, "parent")
        wanted = import_request_from_proto(project, request.import_job, self._places, self._max_rejected_fraction)
        await self._require_sources(wanted)
        spec = wanted.model_dump(mode="json")
        return import_job_to_proto(
            await self._jobs.create(project, IMPORT_JOBS, spec, request_id_from_proto(request.request_id))
        )

    async def GetImportJob(self, request: pb.GetImportJobRequest, context: Context) -> ImportJob:
        return import_job_to_proto(await self._jobs.get(IMPORT_JOBS, request.name))

    async def ListImportJobs(self, request: pb.ListImportJobsRequest, context: Context) -> pb.ListImportJobsResponse:
        project = ProjectName.parse(request.parent, "parent")
        page = PageRequest.parse(request.page_size, request.page_token)
        jobs, token = await self._jobs.list(IMPORT_JOBS, project, page)
        return pb.ListImportJobsResponse(import_jobs=map(import_job_to_proto, jobs), next_page_token=token)

    async def CancelImportJob(self, request: pb.CancelImportJobRequest, context: Context) -> ImportJob:
        return import_job_to_proto(await self._jobs.cancel(IMPORT_JOBS, request.name))

    async def WatchImportJob(
        self, request: pb.WatchImportJobRequest, context: Context
    ) -> AsyncIterator[pb.WatchImportJobResponse]:
        revision = request.start_revision
        async with aclosing(self._jobs.watch(IMPORT_JOBS, request.name, revision)) as changes:
            async for job in changes:
                revision = job.revision if job else revision
                shown = import_job_to_proto(job) if job else None
                yield pb.WatchImportJobResponse(import_job=shown, revision=revision)

    async def ListImportFindings(
        self, request: pb.ListImportFindingsRequest, context: Context
    ) -> pb.ListImportFindingsResponse:
        page = PageRequest.parse(request.page_size, request.page_token)
        severity = severity_from_proto(request.severity)
        found, token = await self._jobs.findings(request.parent, page, severity, IMPORT_JOBS)
        return pb.ListImportFindingsResponse(findings=map(finding_to_proto, found), next_page_token=token)

    async def DownloadImportReport(
        self, request: pb.DownloadImportReportRequest, context: Context
    ) -> AsyncIterator[pb.DownloadImportReportResponse]:
        async for chunk in report_chunks(self._jobs, request.name):
            yield pb.DownloadImportReportResponse(chunk=chunk)

    async def CreateExportJob(self, request: pb.CreateExportJobRequest, context: Context) -> ExportJob:
        project = ProjectName.parse(request.parent, "parent")
        wanted = export_request_from_proto(project, request.export_job)
        if wanted.dataset is not None:
            await self._datasets.find(DatasetName(project.project, wanted.dataset))
        await self._labels.require(project, wanted.labels)
        spec = wanted.model_dump(mode="json")
        return self._export(
            await self._jobs.create(project, EXPORT_JOBS, spec, request_id_from_proto(request.request_id))
        )

    async def GetExportJob(self, request: pb.GetExportJobRequest, context: Context) -> ExportJob:
        return self._export(await self._jobs.get(EXPORT_JOBS, request.name))

    async def ListExportJobs(self, request: pb.ListExportJobsRequest, context: Context) -> pb.ListExportJobsResponse:
        project = ProjectName.parse(request.parent, "parent")
        page = PageRequest.parse(request.page_size, request.page_token)
        jobs, token = await self._jobs.list(EXPORT_JOBS, project, page)
        return pb.ListExportJobsResponse(export_jobs=map(self._export, jobs), next_page_token=token)

    async def CancelExportJob(self, request: pb.CancelExportJobRequest, context: Context) -> ExportJob:
        return self._export(await self._jobs.cancel(EXPORT_JOBS, request.name))

    async def WatchExportJob(
        self, request: pb.WatchExportJobRequest, context: Context
    ) -> AsyncIterator[pb.WatchExportJobResponse]:
        revision = request.start_revision
        async with aclosing(self._jobs.watch(EXPORT_JOBS, request.name, revision)) as changes:
            async for job in changes:
                revision = job.revision if job else revision
                yield pb.WatchExportJobResponse(export_job=self._export(job) if job else None, revision=revision)

    async def DownloadExport(
        self, request: pb.DownloadExportRequest, context: Context
    ) -> AsyncIterator[pb.DownloadExportResponse]:
        job = await self._jobs.get(EXPORT_JOBS, request.name)
        if job.state is not JobState.SUCCEEDED:
            message = f"{job.name} has no archive: it is {job.state.value}"
            raise FailedPreconditionError(message, metadata={"state": job.state.value})
        try:
            async with aclosing(self._objects.chunks(export_key(job.name.project, job.name.job))) as chunks:
                async for chunk in chunks:
                    yield pb.DownloadExportResponse(chunk=chunk)
        except FileNotFoundError:
            raise NotFoundError(f"the archive of {job.name}, which was kept for {self._export_days:g} days,") from None

    async def _require_sources(self, wanted: ImportRequest) -> None:
        """What is not there is told at once, not by a job that fails."""
        for dataset in (wanted.dataset, wanted.source_dataset):
            if dataset is not None:
                await self._datasets.find(DatasetName.parse(dataset))
        if wanted.uploaded_file is not None:
            await self._files.get(UploadedFileName.parse(wanted.uploaded_file))

    def _export(self, job: Job) -> ExportJob:
        return export_job_to_proto(job, self._export_days)


def import_export_servicer(settings: LabelingSettings, database: Database, objects: Objects) -> ImportExportServicer:
    """What answers about imports and exports."""
    jobs = Jobs(database, settings.watch_interval_seconds, settings.watch_keepalive_seconds)
    files = uploaded_files(settings, database, objects)
    labels = Labels(database, Quotas.of(settings))
    return ImportExportServicer(settings, jobs, files, Datasets(database), labels, objects)
