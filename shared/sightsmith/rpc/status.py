"""Between our errors and `google.rpc.Status` (AIP-193), both ways."""

from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from sightsmith.errors import DOMAIN, FieldViolation, SightsmithError


def to_status(error: SightsmithError) -> status_pb2.Status:
    """The error as a client sees it: an `ErrorInfo`, and a `BadRequest` where single fields are at fault."""
    details: list[error_details_pb2.ErrorInfo | error_details_pb2.BadRequest] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    ]
    if error.violations:
        violation = error_details_pb2.BadRequest.FieldViolation
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[violation(field=v.field, description=v.description) for v in error.violations]
            )
        )
    status = status_pb2.Status(code=error.code, message=error.message)
    for detail in details:
        status.details.append(_packed(detail))
    return status


def from_status(status: status_pb2.Status) -> SightsmithError:
    """The error that a status tells of. Details that are not ours are passed over."""
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Is(bad_request.DESCRIPTOR):
            detail.Unpack(bad_request)
    error = SightsmithError(
        status.message,
        reason=info.reason or code_pb2.Code.Name(status.code),
        metadata=info.metadata,
        violations=[FieldViolation(v.field, v.description) for v in bad_request.field_violations],
    )
    error.code = status.code
    return error


def _packed(detail: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
