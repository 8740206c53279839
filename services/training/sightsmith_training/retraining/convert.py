"""Between retrainings and the API's messages."""

from sightsmith.api.training.v1 import retraining_pb2
from sightsmith.api.training.v1.training_job_pb2 import TrainingJob
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import RetrainingPolicyName
from sightsmith_training.convert import status_message
from sightsmith_training.engine.specification import Effort
from sightsmith_training.job_options import EFFORTS
from sightsmith_training.retraining.retraining import ComparedFigure, Retraining, RetrainingPolicy


def retraining_message(retraining: Retraining) -> retraining_pb2.Retraining:
    """A retraining."""
    message = retraining_pb2.Retraining(
        name=retraining.name,
        deployment=retraining.deployment,
        baseline=retraining.baseline,
        state=retraining_pb2.Retraining.State.Value(f"STATE_{retraining.state}"),
        snapshot=retraining.snapshot or "",
        training_job=retraining.training_job or "",
        model=retraining.model or "",
        comparison=_comparison(retraining.comparison) if retraining.comparison else None,
        correction_count=retraining.corrections,
        error=status_message(retraining.error) if retraining.error else None,
    )
    message.create_time.FromDatetime(retraining.create_time)
    if retraining.end_time is not None:
        message.end_time.FromDatetime(retraining.end_time)
    return message


def policy_message(
    name: RetrainingPolicyName, policy: RetrainingPolicy, corrections: int
) -> retraining_pb2.RetrainingPolicy:
    """When a deployment's model is trained anew by itself."""
    return retraining_pb2.RetrainingPolicy(
        name=str(name),
        min_correction_count=policy.min_corrections,
        canary_share=policy.canary_share,
        effort=EFFORTS[policy.effort],
        correction_count=corrections,
    )


def policy_from_proto(message: retraining_pb2.RetrainingPolicy) -> RetrainingPolicy:
    """What a client wishes for.

    Raises:
        InvalidArgumentError: naming the field that is wrong.
    """
    field = "retraining_policy"
    if message.min_correction_count < 0:
        rule = f"must not be negative, not {message.min_correction_count}"
        raise InvalidArgumentError.of_field(f"{field}.min_correction_count", rule)
    if not 0 <= message.canary_share <= 1:  # Not a number is not between them either.
        raise InvalidArgumentError.of_field(f"{field}.canary_share", f"must be from 0 to 1, not {message.canary_share}")
    return RetrainingPolicy(
        min_corrections=message.min_correction_count,
        canary_share=message.canary_share,
        effort=effort_from_proto(message.effort, f"{field}.effort"),
    )


def effort_from_proto(value: TrainingJob.Effort.ValueType, field: str) -> Effort:
    """How much is to be tried.

    Raises:
        InvalidArgumentError: naming `field`, if it is none that is known here.
    """
    if value == TrainingJob.EFFORT_UNSPECIFIED:
        return "balanced"
    for effort, number in EFFORTS.items():
        if number == value:
            return effort
    raise InvalidArgumentError.of_field(field, f"there is no value {value}")


def _comparison(compared: ComparedFigure) -> retraining_pb2.Retraining.Comparison:
    return retraining_pb2.Retraining.Comparison(**compared.model_dump(exclude={"images"}), image_count=compared.images)
