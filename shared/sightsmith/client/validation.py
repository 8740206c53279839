"""Validations and splits."""

import time
import uuid
from collections.abc import Iterator

import grpc
from google.rpc import code_pb2

from sightsmith.api.labeling.v1 import split_service_pb2, validation_service_pb2
from sightsmith.api.labeling.v1.job_pb2 import JobFinding
from sightsmith.api.labeling.v1.split_service_pb2_grpc import SplitServiceStub
from sightsmith.api.labeling.v1.validation_job_pb2 import ValidationJob
from sightsmith.api.labeling.v1.validation_service_pb2_grpc import ValidationServiceStub
from sightsmith.client.calls import all_pages, calling
from sightsmith.errors import SightsmithError

_RECONNECT_SECONDS = 1.0
_File = validation_service_pb2.DownloadValidationFileRequest.File


class Validation:
    """Looks at data before a training has to, and sets test images aside.

    Every method raises `SightsmithError` with the service's reason.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = ValidationServiceStub(channel)
        self._splits = SplitServiceStub(channel)

    def begin(self, project: str, job: ValidationJob | None = None) -> ValidationJob:
        """Queues a validation.

        Args:
            project: `projects/{project}`.
            job: what to look at; the project's datasets if left out.
        """
        request = validation_service_pb2.CreateValidationJobRequest(
            parent=project, validation_job=job, request_id=str(uuid.uuid4())
        )
        with calling():
            return self._stub.CreateValidationJob(request)

    def get(self, name: str) -> ValidationJob:
        """A validation, by `projects/{project}/validationJobs/{validation_job}`."""
        with calling():
            return self._stub.GetValidationJob(validation_service_pb2.GetValidationJobRequest(name=name))

    def list(self, project: str) -> Iterator[ValidationJob]:
        """The validations of a project, newest first."""
        return all_pages(
            lambda token: self._stub.ListValidationJobs(
                validation_service_pb2.ListValidationJobsRequest(parent=project, page_token=token)
            ),
            lambda page: page.validation_jobs,
        )

    def cancel(self, name: str) -> ValidationJob:
        """Asks for a validation to be stopped."""
        with calling():
            return self._stub.CancelValidationJob(validation_service_pb2.CancelValidationJobRequest(name=name))

    def watch(self, name: str) -> Iterator[ValidationJob]:
        """A validation as it stands after each change, up to its end; reconnects when a connection breaks."""
        revision = 0
        while True:
            request = validation_service_pb2.WatchValidationJobRequest(name=name, start_revision=revision)
            try:
                with calling():
                    for change in self._stub.WatchValidationJob(request):
                        revision = change.revision
                        if change.HasField("validation_job"):
                            yield change.validation_job
                return
            except SightsmithError as error:
                if error.code != code_pb2.UNAVAILABLE:
                    raise
                time.sleep(_RECONNECT_SECONDS)

    def findings(
        self,
        name: str,
        severity: JobFinding.Severity.ValueType = JobFinding.SEVERITY_UNSPECIFIED,
        code: str = "",
    ) -> Iterator[JobFinding]:
        """What a validation has found.

        Args:
            name: `projects/{project}/validationJobs/{validation_job}`.
            severity: only these; unspecified for all.
            code: only these; empty for all.
        """
        return all_pages(
            lambda token: self._stub.ListValidationFindings(
                validation_service_pb2.ListValidationFindingsRequest(
                    parent=name, page_size=1000, page_token=token, severity=severity, code=code
                )
            ),
            lambda page: page.findings,
        )

    def file(self, name: str, file: _File.ValueType) -> Iterator[bytes]:
        """A file that a validation has written, in parts."""
        request = validation_service_pb2.DownloadValidationFileRequest(name=name, file=file)
        with calling():
            for part in self._stub.DownloadValidationFile(request):
                yield part.chunk

    def distribute(
        self,
        project: str,
        test_fraction: float = 0.2,
        seed: int = 0,
        *,
        allow_untested_labels: bool = False,
        validate_only: bool = False,
    ) -> split_service_pb2.DistributeImagesResponse:
        """Moves labelled images from the dataset for training to the one for testing.

        Args:
            project: `projects/{project}`.
            test_fraction: share of each label's images that are test images afterwards, above 0 and at most 0.5.
            seed: decides which ones.
            allow_untested_labels: whether a label may stay without a test image.
            validate_only: whether to tell what would be and move nothing.
        """
        request = split_service_pb2.DistributeImagesRequest(
            parent=project,
            test_fraction=test_fraction,
            seed=seed,
            allow_untested_labels=allow_untested_labels,
            validate_only=validate_only,
        )
        with calling():
            return self._splits.DistributeImages(request)
