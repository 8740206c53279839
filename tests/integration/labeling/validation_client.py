"""Validations and splits as tests ask for them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sightsmith.api.labeling.v1 import job_pb2, split_service_pb2
from sightsmith.api.labeling.v1 import validation_service_pb2 as pb
from sightsmith.api.labeling.v1.job_pb2 import JobFinding
from sightsmith.api.labeling.v1.split_service_pb2_grpc import SplitServiceStub
from sightsmith.api.labeling.v1.validation_job_pb2 import ValidationJob
from sightsmith.api.labeling.v1.validation_service_pb2_grpc import ValidationServiceStub

from .labeling_client import LabelingClient

SUMMARY = pb.DownloadValidationFileRequest.FILE_SUMMARY
TRAINING = pb.DownloadValidationFileRequest.FILE_TRAINING_MANIFEST
TESTING = pb.DownloadValidationFileRequest.FILE_TESTING_MANIFEST


class ValidationClient:
    """Calls ValidationService and SplitService."""

    def __init__(self, client: LabelingClient) -> None:
        self.stub = ValidationServiceStub(client.channel)
        self.splits = SplitServiceStub(client.channel)
        self.metadata = client.metadata

    async def begin(self, project: str, request_id: str = "", **fields: Any) -> ValidationJob:
        request = pb.CreateValidationJobRequest(
            parent=project, validation_job=ValidationJob(**fields), request_id=request_id
        )
        return await self.stub.CreateValidationJob(request, metadata=self.metadata)

    async def validate(self, project: str, **fields: Any) -> ValidationJob:
        """Validates, and returns the job as it ended well."""
        job = await self.begin(project, **fields)
        request = pb.WatchValidationJobRequest(name=job.name)
        async for change in self.stub.WatchValidationJob(request, metadata=self.metadata, timeout=60):
            job = change.validation_job if change.HasField("validation_job") else job
        assert job.state == job_pb2.JOB_STATE_SUCCEEDED, job
        return job

    async def findings(self, job: ValidationJob, **filters: Any) -> list[JobFinding]:
        request = pb.ListValidationFindingsRequest(parent=job.name, page_size=1000, **filters)
        return list((await self.stub.ListValidationFindings(request, metadata=self.metadata)).findings)

    async def file(self, job: ValidationJob, file: pb.DownloadValidationFileRequest.File.ValueType) -> bytes:
        request = pb.DownloadValidationFileRequest(name=job.name, file=file)
        return b"".join(
            [part.chunk async for part in self.stub.DownloadValidationFile(request, metadata=self.metadata)]
        )

    async def lines(
        self, job: ValidationJob, file: pb.DownloadValidationFileRequest.File.ValueType
    ) -> Sequence[Mapping[str, Any]]:
        return [json.loads(line) for line in (await self.file(job, file)).splitlines()]

    async def distribute(self, project: str, **fields: Any) -> split_service_pb2.DistributeImagesResponse:
        request = split_service_pb2.DistributeImagesRequest(parent=project, **fields)
        return await self.splits.DistributeImages(request, metadata=self.metadata)


def counts(job: ValidationJob) -> dict[str, int]:
    return {found.code: found.count for found in job.result.code_counts}
