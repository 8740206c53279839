"""Between jobs and their protobuf messages; the messages of each kind of job are made where that kind is."""

import json
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from google.rpc import status_pb2

from sightsmith.api.labeling.v1 import job_pb2
from sightsmith.errors import InvalidArgumentError
from sightsmith.rpc.status import to_status
from sightsmith_labeling.jobs.finding import Finding, Severity
from sightsmith_labeling.jobs.job import JobError, JobProgress, JobState


def state_to_proto(state: JobState) -> job_pb2.JobState.ValueType:
    """Where a job stands."""
    return job_pb2.JobState.Value(f"JOB_STATE_{state.value}")


def progress_to_proto(progress: JobProgress | None) -> job_pb2.JobProgress | None:
    """How far a job has come; None before it has begun."""
    if progress is None:
        return None
    remaining = None
    if progress.remaining_seconds is not None:
        remaining = Duration()
        remaining.FromTimedelta(timedelta(seconds=progress.remaining_seconds))
    return job_pb2.JobProgress(
        phase=progress.phase, done_count=progress.done, total_count=progress.total, remaining_time=remaining
    )


def error_to_proto(error: JobError | None) -> status_pb2.Status | None:
    """Why a job failed; None if it did not."""
    return to_status(error.to_error()) if error is not None else None


def finding_to_proto(finding: Finding) -> job_pb2.JobFinding:
    """What a job found. Details that are no text are written as JSON."""
    return job_pb2.JobFinding(
        severity=job_pb2.JobFinding.Severity.Value(f"SEVERITY_{finding.severity.value}"),
        code=finding.code,
        message=finding.message,
        file=finding.file,
        line=finding.line,
        resource=finding.resource,
        path=finding.path,
        details={
            name: value if isinstance(value, str) else json.dumps(value) for name, value in finding.details.items()
        },
    )


def severity_from_proto(severity: job_pb2.JobFinding.Severity.ValueType) -> Severity | None:
    """Reads the severity that a list of findings is asked for; None for all.

    Raises:
        InvalidArgumentError: if it is none that is known here; a newer client may know more.
    """
    if severity == job_pb2.JobFinding.SEVERITY_UNSPECIFIED:
        return None
    if severity not in job_pb2.JobFinding.Severity.values():
        raise InvalidArgumentError.of_field("severity", f"there is none of number {severity}")
    return Severity(job_pb2.JobFinding.Severity.Name(severity).removeprefix("SEVERITY_"))
