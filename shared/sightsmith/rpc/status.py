"""Between our errors and `google.rpc.Status` (AIP-193), both ways."""

from datetime import timedelta
from typing import TypeAlias

from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from sightsmith.errors import DOMAIN, FieldViolation, SightsmithError

_Detail: TypeAlias = error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo


def to_status(error: SightsmithError) -> status_pb2.Status:
    """The error as a client sees it: an `ErrorInfo`, a `BadRequest` where single fields are at fault, and a `RetryInfo`
    where it is known when to try again.
    """
    details: list[_Detail] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)]
    if error.violations:
        violation = error_details_pb2.BadRequest.FieldViolation
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[violation(field=v.field, description=v.description) for v in error.violations]
            )
        )
    if error.retry_seconds is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(timedelta(seconds=error.retry_seconds))
        details.append(retry)
    status = status_pb2.Status(code=error.code, message=error.message)
    for detail in details:
        status.details.append(_packed(detail))
    return status


def from_status(status: status_pb2.Status) -> SightsmithError:
    """The error that a status tells of. Details that are not ours are passed over."""
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        for known in (info, bad_request, retry):
            # Does nothing where the detail is of another kind.
            detail.Unpack(known)
    error = SightsmithError(
        status.message,
        reason=info.reason or code_pb2.Code.Name(status.code),
        metadata=info.metadata,
        violations=[FieldViolation(v.field, v.description) for v in bad_request.field_violations],
        retry_seconds=retry.retry_delay.ToTimedelta().total_seconds() if retry.HasField("retry_delay") else None,
    )
    error.code = status.code
    return error


def _packed(detail: _Detail) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
