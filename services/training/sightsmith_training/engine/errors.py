"""The one way in which the engine says that a training cannot succeed."""

from collections.abc import Sequence

from sightsmith_training.engine.contract import Failure, FailureReason, Violation


class TrainingError(Exception):
    """A training that cannot succeed, for a reason its owner can understand.

    Attributes:
        failure: the message for the worker.
    """

    def __init__(
        self, reason: FailureReason, message: str, violations: Sequence[Violation] = (), **metadata: object
    ) -> None:
        super().__init__(message)
        self.failure = Failure(
            reason=reason,
            message=message,
            metadata={key: str(value) for key, value in metadata.items()},
            violations=list(violations),
        )
