"""What can go wrong with a model that is to be served, beyond the errors that all services share."""

from google.rpc import code_pb2

from sightsmith.errors import SightsmithError, UnavailableError


class ModelNotServableError(SightsmithError):
    """The model itself is at fault: trying again will not help."""

    code = code_pb2.FAILED_PRECONDITION
    reason = "MODEL_NOT_SERVABLE"


class CheckFailedError(ModelNotServableError):
    """A loaded model says something else of a stored image than its training recorded."""

    reason = "CHECK_FAILED"


def dependency_unavailable(service: str, problem: str) -> UnavailableError:
    """A server that is needed is out of reach, which says nothing about the model: trying again is right.

    Args:
        service: the server's name, such as `triton`.
        problem: what it, or the connection to it, says.
    """
    return UnavailableError(f"{service} is not available: {problem}", metadata={"service": service})
