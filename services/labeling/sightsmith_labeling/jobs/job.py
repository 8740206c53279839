"""A job as everybody sees it: its name, state, progress, result."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from google.rpc import code_pb2

from sightsmith.errors import FieldViolation, InvalidArgumentError, SightsmithError
from sightsmith.names import ProjectName, check_id
from sightsmith_labeling.jobs.tables import JobRow

_COLLECTION = re.compile(r"[a-z][a-zA-Z]*Jobs")


class JobState(StrEnum):
    """Where a job stands; `JobState` in the protos tells what may follow what."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """Whether nothing can follow."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True)
class JobName:
    """`projects/{project}/{kind}/{job}`, where the kind is a collection such as `importJobs`."""

    project: str
    kind: str
    job: str

    @classmethod
    def parse(cls, name: str, kind: str | None = None, field: str = "name") -> Self:
        """Reads a name.

        Args:
            name: what a client sent.
            kind: the kind that it must be of; None for any.
            field: the field of the request that it stands in.

        Raises:
            InvalidArgumentError: naming `field`, if it is not the name of such a job.
        """
        match name.split("/"):
            case ["projects", project, found, job] if kind in (None, found) and _COLLECTION.fullmatch(found):
                return cls(check_id(field, project), found, check_id(field, job))
        pattern = f"projects/{{project}}/{kind or '{jobs}'}/{{job}}"
        raise InvalidArgumentError.of_field(field, f"must look like {pattern}, not {name[:200]!r}")

    def __str__(self) -> str:
        return f"projects/{self.project}/{self.kind}/{self.job}"


@dataclass(frozen=True)
class JobProgress:
    """How far a job has come.

    Attributes:
        phase: what it is at, for people.
        done: things that are done in this phase.
        total: things that are to be done in this phase; 0 while that is not known.
        remaining_seconds: how long the phase will still take; None while that is not known.
    """

    phase: str
    done: int = 0
    total: int = 0
    remaining_seconds: float | None = None


@dataclass(frozen=True)
class JobError:
    """Why a job failed: a reason of `ErrorReason` and a code of `google.rpc.Code`, with what belongs to them."""

    reason: str
    message: str
    metadata: Mapping[str, str]
    violations: tuple[tuple[str, str], ...] = ()
    code: int = code_pb2.INTERNAL

    @classmethod
    def of(cls, error: SightsmithError) -> Self:
        """The error that a job's work raised."""
        violations = tuple((violation.field, violation.description) for violation in error.violations)
        return cls(error.reason, error.message, dict(error.metadata), violations, error.code)

    def to_error(self) -> SightsmithError:
        """The error as it can be sent to a client."""
        violations = [FieldViolation(field, description) for field, description in self.violations]
        error = SightsmithError(self.message, reason=self.reason, metadata=self.metadata, violations=violations)
        error.code = self.code
        return error


@dataclass(frozen=True)
class Job:
    """A job at one revision.

    Attributes:
        kind: the collection that it is in, such as `importJobs`.
        progress: None before a worker has begun it.
        spec: what was asked for, as JSON values; the kind says what is in it.
        result: what came out, as JSON values; None before the end. A job that failed or was cancelled may have one too:
            it tells how far it came.
        attempt: how often a worker began it.
        revision: goes up with every change.
    """

    name: JobName
    project: ProjectName
    kind: str
    state: JobState
    progress: JobProgress | None
    actor: str
    spec: Mapping[str, Any]
    result: Mapping[str, Any] | None
    error: JobError | None
    attempt: int
    revision: int
    create_time: datetime
    start_time: datetime | None
    end_time: datetime | None


def to_job(row: JobRow) -> Job:
    """The job of a row."""
    return Job(
        name=JobName(row.project, row.kind, row.id),
        project=ProjectName(row.project),
        kind=row.kind,
        state=JobState(row.state),
        progress=JobProgress(**row.progress) if row.progress else None,
        actor=row.actor,
        spec=row.spec,
        result=row.result,
        # What stopped one try stays there, in case that it is the last.
        error=_error(row.error) if row.error and row.state == JobState.FAILED else None,
        attempt=row.attempt,
        revision=row.revision,
        create_time=row.create_time,
        start_time=row.start_time,
        end_time=row.end_time,
    )


def _error(stored: Mapping[str, Any]) -> JobError:
    violations = tuple((field, description) for field, description in stored["violations"])
    return JobError(**{**stored, "violations": violations})
