"""Errors survive the way to the client."""

import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from sightsmith.errors import FieldViolation, InvalidArgumentError, NotFoundError, ResourceExhaustedError
from sightsmith.rpc.status import from_status, to_status


def test_an_error_comes_out_as_it_went_in() -> None:
    violations = [FieldViolation("a.b", "is odd"), FieldViolation("c", "is even")]
    sent = InvalidArgumentError("two things are wrong", metadata={"limit": "3"}, violations=violations)
    received = from_status(to_status(sent))
    assert received.code == code_pb2.INVALID_ARGUMENT
    assert (received.message, received.reason) == ("two things are wrong", "INVALID_FIELD")
    assert received.metadata == {"limit": "3"}
    assert received.violations == tuple(violations)


def test_a_status_has_one_error_info_of_our_domain() -> None:
    status = to_status(NotFoundError("projects/none"))
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.domain, info.reason, info.metadata["name"]) == ("sightsmith", "NOT_FOUND", "projects/none")
    assert len(status.details) == 1


@pytest.mark.parametrize("seconds", [0.0, 0.25, 90.0])
def test_when_to_try_again(seconds: float) -> None:
    sent = ResourceExhaustedError("too many", reason="OVERLOADED", retry_seconds=seconds)
    status = to_status(sent)
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    assert retry.retry_delay.ToTimedelta().total_seconds() == seconds
    assert from_status(status).retry_seconds == seconds
    assert from_status(to_status(NotFoundError("projects/none"))).retry_seconds is None


def test_a_status_of_others_keeps_its_code_as_the_reason() -> None:
    error = from_status(status_pb2.Status(code=code_pb2.ABORTED, message="conflict"))
    assert (error.reason, error.message) == ("ABORTED", "conflict")
