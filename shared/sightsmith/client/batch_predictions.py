"""Predictions for any number of stored images."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc
from google.rpc import code_pb2

from sightsmith.api.inference.v1 import batch_prediction_service_pb2 as pb
from sightsmith.api.inference.v1.batch_prediction_job_pb2 import BatchPredictionJob, BatchPredictionResult
from sightsmith.api.inference.v1.batch_prediction_service_pb2_grpc import BatchPredictionServiceStub
from sightsmith.client.calls import all_pages, calling
from sightsmith.client.file_download import OnBytes, download_file
from sightsmith.errors import SightsmithError
from sightsmith.names import ProjectName
from sightsmith.rpc.status import from_status

_RECONNECT_SECONDS = 1.0


class BatchPredictions:
    """Queues jobs, `projects/{project}/batchPredictionJobs/{batch_prediction_job}`, and follows them.

    Every method raises `SightsmithError` with the reason that the service gave.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = BatchPredictionServiceStub(channel)

    def begin(self, project: str, job: BatchPredictionJob) -> BatchPredictionJob:
        """Queues a job.

        Args:
            project: id of the project.
            job: the deployment, the source, and whatever else is wished for.
        """
        request = pb.CreateBatchPredictionJobRequest(
            parent=str(ProjectName(project)), batch_prediction_job=job, request_id=str(uuid.uuid4())
        )
        with calling():
            return self._stub.CreateBatchPredictionJob(request)

    def get(self, name: str) -> BatchPredictionJob:
        """A job, by name."""
        with calling():
            return self._stub.GetBatchPredictionJob(pb.GetBatchPredictionJobRequest(name=name))

    def list(self, project: str) -> Iterator[BatchPredictionJob]:
        """The jobs of a project, newest first."""
        parent = str(ProjectName(project))
        return all_pages(
            lambda token: self._stub.ListBatchPredictionJobs(
                pb.ListBatchPredictionJobsRequest(parent=parent, page_token=token)
            ),
            lambda page: page.batch_prediction_jobs,
        )

    def cancel(self, name: str) -> BatchPredictionJob:
        """Asks for a job to be stopped."""
        with calling():
            return self._stub.CancelBatchPredictionJob(pb.CancelBatchPredictionJobRequest(name=name))

    def watch(self, name: str, after_revision: int = 0) -> Iterator[BatchPredictionJob]:
        """Every change of a job after a revision, up to its end; reconnects when a connection breaks."""
        while True:
            request = pb.WatchBatchPredictionJobRequest(name=name, start_revision=after_revision)
            try:
                with calling():
                    for change in self._stub.WatchBatchPredictionJob(request):
                        after_revision = change.revision
                        if change.HasField("batch_prediction_job"):
                            yield change.batch_prediction_job
                return
            except SightsmithError as error:
                if error.code != code_pb2.UNAVAILABLE:
                    raise
                time.sleep(_RECONNECT_SECONDS)

    def wait(self, name: str) -> BatchPredictionJob:
        """Waits for the end of a job.

        Raises:
            SightsmithError: the job's own error, if it failed; reason WRONG_STATE if it was cancelled.
        """
        for _ in self.watch(name):
            pass
        return succeeded(self.get(name))

    def download(self, name: str, result: BatchPredictionResult, target: Path, on_bytes: OnBytes | None = None) -> None:
        """Writes a file of results, which is there only if it is whole.

        Args:
            name: of the job.
            result: one of its `results`.
            target: the file to write; its folder must be there.
            on_bytes: told of the bytes as they come.

        Raises:
            OSError: if the file cannot be written.
        """

        def chunks(offset: int) -> Iterator[bytes]:
            request = pb.DownloadBatchPredictionResultRequest(name=name, file_name=result.file_name, offset=offset)
            return (part.chunk for part in self._stub.DownloadBatchPredictionResult(request))

        download_file(target, result.sha256, result.size_bytes, chunks, on_bytes)


def succeeded(job: BatchPredictionJob) -> BatchPredictionJob:
    """Returns a job that has ended well.

    Raises:
        SightsmithError: the job's own error, if it failed; reason WRONG_STATE if it was cancelled.
    """
    if job.HasField("error"):
        error = from_status(job.error)
        error.message = f"{job.name} failed: {error.message}"
        raise error
    if job.state == BatchPredictionJob.STATE_CANCELLED:
        raise SightsmithError(f"{job.name} was cancelled", reason="WRONG_STATE")
    return job
