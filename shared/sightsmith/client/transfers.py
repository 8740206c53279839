"""Imports and exports."""

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import grpc
from google.rpc import code_pb2

from sightsmith.api.labeling.v1 import import_export_service_pb2 as pb
from sightsmith.api.labeling.v1 import job_pb2
from sightsmith.api.labeling.v1.export_job_pb2 import ExportJob
from sightsmith.api.labeling.v1.import_export_service_pb2_grpc import ImportExportServiceStub
from sightsmith.api.labeling.v1.import_job_pb2 import ImportJob
from sightsmith.api.labeling.v1.job_pb2 import JobFinding
from sightsmith.api.labeling.v1.uploaded_file_pb2 import UploadedFile
from sightsmith.client.calls import all_pages, calling
from sightsmith.errors import SightsmithError
from sightsmith.rpc.status import from_status
from sightsmith.sizes import MEBIBYTE

_RECONNECT_SECONDS = 1.0
_FINAL = (job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELLED)

# Told of bytes that were sent or received.
OnBytes = Callable[[int], None]


class Transfers:
    """Brings images and annotations in and out. Every method raises `SightsmithError` with the service's reason."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = ImportExportServiceStub(channel)

    def upload(self, project: str, path: Path, on_bytes: OnBytes | None = None) -> UploadedFile:
        """Sends a file to be imported.

        Args:
            project: `projects/{project}`.
            path: of the file.
            on_bytes: told of the bytes as they go.

        Raises:
            OSError: if the file cannot be read.
        """
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            header = pb.UploadFileRequest.Header(parent=project, file_name=path.name, sha256=sha256)
            with calling():
                uploaded: UploadedFile = self._stub.UploadFile(_upload_requests(header, file, on_bytes))
                return uploaded

    def begin_import(self, project: str, job: ImportJob) -> ImportJob:
        """Queues an import.

        Args:
            project: `projects/{project}`.
            job: what to import.
        """
        request = pb.CreateImportJobRequest(parent=project, import_job=job, request_id=str(uuid.uuid4()))
        with calling():
            return self._stub.CreateImportJob(request)

    def import_job(self, name: str) -> ImportJob:
        """An import, by `projects/{project}/importJobs/{import_job}`."""
        with calling():
            return self._stub.GetImportJob(pb.GetImportJobRequest(name=name))

    def import_jobs(self, project: str) -> Iterator[ImportJob]:
        """The imports of a project, newest first."""
        return all_pages(
            lambda token: self._stub.ListImportJobs(pb.ListImportJobsRequest(parent=project, page_token=token)),
            lambda page: page.import_jobs,
        )

    def watch_import(self, name: str) -> Iterator[ImportJob]:
        """An import as it stands after each change, up to its end; reconnects when a connection breaks."""
        revision = 0
        while True:
            request = pb.WatchImportJobRequest(name=name, start_revision=revision)
            try:
                with calling():
                    for change in self._stub.WatchImportJob(request):
                        revision = change.revision
                        if change.HasField("import_job"):
                            yield change.import_job
                return
            except SightsmithError as error:
                _wait_or_raise(error)

    def cancel_import(self, name: str) -> ImportJob:
        """Asks for an import to be stopped."""
        with calling():
            return self._stub.CancelImportJob(pb.CancelImportJobRequest(name=name))

    def import_findings(self, name: str) -> Iterator[JobFinding]:
        """What an import has to tell of single lines and images."""
        return all_pages(
            lambda token: self._stub.ListImportFindings(
                pb.ListImportFindingsRequest(parent=name, page_size=1000, page_token=token)
            ),
            lambda page: page.findings,
        )

    def import_report(self, name: str) -> Iterator[bytes]:
        """Everything that an import has to tell as one file, in parts: JSON Lines."""
        with calling():
            for part in self._stub.DownloadImportReport(pb.DownloadImportReportRequest(name=name)):
                yield part.chunk

    def begin_export(self, project: str, job: ExportJob) -> ExportJob:
        """Queues an export.

        Args:
            project: `projects/{project}`.
            job: what to export.
        """
        request = pb.CreateExportJobRequest(parent=project, export_job=job, request_id=str(uuid.uuid4()))
        with calling():
            return self._stub.CreateExportJob(request)

    def export_job(self, name: str) -> ExportJob:
        """An export, by `projects/{project}/exportJobs/{export_job}`."""
        with calling():
            return self._stub.GetExportJob(pb.GetExportJobRequest(name=name))

    def export_jobs(self, project: str) -> Iterator[ExportJob]:
        """The exports of a project, newest first."""
        return all_pages(
            lambda token: self._stub.ListExportJobs(pb.ListExportJobsRequest(parent=project, page_token=token)),
            lambda page: page.export_jobs,
        )

    def watch_export(self, name: str) -> Iterator[ExportJob]:
        """An export as it stands after each change, up to its end; reconnects when a connection breaks."""
        revision = 0
        while True:
            request = pb.WatchExportJobRequest(name=name, start_revision=revision)
            try:
                with calling():
                    for change in self._stub.WatchExportJob(request):
                        revision = change.revision
                        if change.HasField("export_job"):
                            yield change.export_job
                return
            except SightsmithError as error:
                _wait_or_raise(error)

    def cancel_export(self, name: str) -> ExportJob:
        """Asks for an export to be stopped."""
        with calling():
            return self._stub.CancelExportJob(pb.CancelExportJobRequest(name=name))

    def download_export(self, name: str, path: Path, on_bytes: OnBytes | None = None) -> None:
        """Writes the archive of an export that has succeeded to a file, which is there only if it is whole.

        Args:
            name: `projects/{project}/exportJobs/{export_job}`.
            path: of the file.
            on_bytes: told of the bytes as they come.

        Raises:
            OSError: if the file cannot be written.
        """
        partial = path.with_name(f"{path.name}.part")
        try:
            with partial.open("wb") as file, calling():
                for part in self._stub.DownloadExport(pb.DownloadExportRequest(name=name)):
                    file.write(part.chunk)
                    if on_bytes is not None:
                        on_bytes(len(part.chunk))
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def has_ended(job: ImportJob | ExportJob) -> bool:
    """Whether nothing more happens to a job."""
    return job.state in _FINAL


def require_success(job: ImportJob | ExportJob) -> None:
    """Makes sure that a job has ended well.

    Raises:
        SightsmithError: the job's own error, if it failed; reason WRONG_STATE if it was cancelled.
    """
    if job.HasField("error"):
        raise from_status(job.error)
    if job.state == job_pb2.JOB_STATE_CANCELLED:
        raise SightsmithError(f"{job.name} was cancelled", reason="WRONG_STATE")


def _upload_requests(
    header: pb.UploadFileRequest.Header, file: BinaryIO, on_bytes: OnBytes | None
) -> Iterator[pb.UploadFileRequest]:
    yield pb.UploadFileRequest(header=header)
    while chunk := file.read(MEBIBYTE):
        yield pb.UploadFileRequest(chunk=chunk)
        if on_bytes is not None:
            on_bytes(len(chunk))


def _wait_or_raise(error: SightsmithError) -> None:
    if error.code != code_pb2.UNAVAILABLE:
        raise error
    time.sleep(_RECONNECT_SECONDS)
