"""The errors that a caller may see: one root with a status code and a reason, and named leaves.

Code that finds something wrong raises one of these; the server turns it into a `google.rpc.Status`
(`sightsmith.rpc.status`). Whatever else is raised is a fault of ours and becomes INTERNAL.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from google.rpc import code_pb2

DOMAIN = "sightsmith"


@dataclass(frozen=True)
class FieldViolation:
    """What is wrong with one field, file or label.

    Attributes:
        field: path of the field in the request, or the file or label that is meant.
        description: what is wrong and what would be right.
    """

    field: str
    description: str


class SightsmithError(Exception):
    """An error with a stable reason. Reasons are those of `ErrorReason` in the protos, without their prefix."""

    code: int = code_pb2.UNKNOWN
    reason: str = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_seconds: float | None = None,
    ) -> None:
        """Makes an error.

        Args:
            message: for people.
            reason: the class's own if left out.
            metadata: the figures that belong to the reason.
            violations: which fields are at fault.
            retry_seconds: after how long trying again has a chance; None if nothing can be said of it.
        """
        super().__init__(message)
        self.message = message
        self.reason = reason or self.reason
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_seconds = retry_seconds

    def __str__(self) -> str:
        # Whoever passes an error on may add to its message.
        return self.message


class InvalidArgumentError(SightsmithError):
    """The request is wrong whatever the state of the system."""

    code = code_pb2.INVALID_ARGUMENT
    reason = "INVALID_FIELD"

    @classmethod
    def of_field(cls, field: str, description: str, reason: str | None = None) -> "InvalidArgumentError":
        """An error about a single field."""
        return cls(f"{field}: {description}", reason=reason, violations=[FieldViolation(field, description)])


class NotFoundError(SightsmithError):
    """The named resource is not there."""

    code = code_pb2.NOT_FOUND
    reason = "NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} does not exist", metadata={"name": name})


class AlreadyExistsError(SightsmithError):
    """A resource of that name, or with what makes it one of a kind, is already there."""

    code = code_pb2.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"


class FailedPreconditionError(SightsmithError):
    """The request makes no sense in the present state of the system."""

    code = code_pb2.FAILED_PRECONDITION
    reason = "WRONG_STATE"


class AbortedError(SightsmithError):
    """Somebody else was quicker: read again, then try again."""

    code = code_pb2.ABORTED
    reason = "ETAG_MISMATCH"


class OutOfRangeError(SightsmithError):
    """The request reaches past the end of what there is."""

    code = code_pb2.OUT_OF_RANGE
    reason = "REVISION_UNKNOWN"


class UnauthenticatedError(SightsmithError):
    """The caller has not shown who it is."""

    code = code_pb2.UNAUTHENTICATED
    reason = "INVALID_TOKEN"


class ResourceExhaustedError(SightsmithError):
    """A limit on size or number was passed."""

    code = code_pb2.RESOURCE_EXHAUSTED
    reason = "TOO_LARGE"


class UnavailableError(SightsmithError):
    """Another service or server is out of reach for now; trying again is right."""

    code = code_pb2.UNAVAILABLE
    reason = "DEPENDENCY_UNAVAILABLE"


class DeadlineExceededError(SightsmithError):
    """The answer took longer than is allowed."""

    code = code_pb2.DEADLINE_EXCEEDED
    reason = "TIMED_OUT"


class InternalError(SightsmithError):
    """A fault of ours."""

    code = code_pb2.INTERNAL
    reason = "INTERNAL"
