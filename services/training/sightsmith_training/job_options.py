"""What a client may wish for in a training, as the API says it."""

from collections.abc import Mapping
from typing import TypeVar

from sightsmith.api.training.v1.model_pb2 import Model
from sightsmith.api.training.v1.training_job_pb2 import TrainingJob
from sightsmith.errors import InvalidArgumentError
from sightsmith_training.engine.specification import Effort, Preference, TaskWish, TrainingOptions, VariantWish

TASKS: Mapping[TaskWish, Model.Task.ValueType] = {
    "auto": Model.TASK_UNSPECIFIED,
    "classification": Model.TASK_CLASSIFICATION,
    "multi_label_classification": Model.TASK_MULTI_LABEL_CLASSIFICATION,
    "detection": Model.TASK_DETECTION,
}
EFFORTS: Mapping[Effort, TrainingJob.Effort.ValueType] = {
    "fast": TrainingJob.EFFORT_FAST,
    "balanced": TrainingJob.EFFORT_BALANCED,
    "best": TrainingJob.EFFORT_BEST,
}
PREFERENCES: Mapping[Preference, TrainingJob.Preference.ValueType] = {
    "balanced": TrainingJob.PREFERENCE_BALANCED,
    "speed": TrainingJob.PREFERENCE_SPEED,
    "accuracy": TrainingJob.PREFERENCE_ACCURACY,
}
VARIANTS: Mapping[VariantWish, TrainingJob.Variants.ValueType] = {
    "auto": TrainingJob.VARIANTS_AUTO,
    "none": TrainingJob.VARIANTS_NONE,
    "all": TrainingJob.VARIANTS_ALL,
}

_LEAST_BUDGET_SECONDS = 10.0
_Wish = TypeVar("_Wish", bound=str)


def options_from_proto(job: TrainingJob, max_budget_seconds: float) -> TrainingOptions:
    """What is wished for; the defaults where nothing is said.

    Args:
        job: as a client sent it.
        max_budget_seconds: the longest budget that it may ask for.

    Raises:
        InvalidArgumentError: if a wish is none of those there are, or the budget too short or too long.
    """
    return TrainingOptions(
        task=_wish("task", job.task, TASKS, "auto"),
        effort=_wish("effort", job.effort, EFFORTS, "balanced"),
        budget_seconds=_budget(job, max_budget_seconds),
        preference=_wish("preference", job.preference, PREFERENCES, "balanced"),
        variants=_wish("variants", job.variants, VARIANTS, "auto"),
        max_variant_loss=_max_variant_loss(job),
        output_prefix=job.output_prefix,
        leave_out_rare_labels=job.leave_out_rare_labels,
    )


def _wish(field: str, value: int, wishes: Mapping[_Wish, int], default: _Wish) -> _Wish:
    if value == 0:
        return default
    for wish, number in wishes.items():
        if number == value:
            return wish
    raise InvalidArgumentError.of_field(f"training_job.{field}", f"there is no value {value}")


def _max_variant_loss(job: TrainingJob) -> float:
    if not job.HasField("max_variant_loss"):
        return TrainingOptions().max_variant_loss
    if not 0 <= job.max_variant_loss <= 1:  # Not a number is not between them either.
        rule = f"must be from 0 to 1, not {job.max_variant_loss:g}"
        raise InvalidArgumentError.of_field("training_job.max_variant_loss", rule)
    return job.max_variant_loss


def _budget(job: TrainingJob, longest: float) -> float | None:
    if not job.HasField("budget"):
        return None
    seconds = job.budget.seconds + job.budget.nanos / 1e9
    if not _LEAST_BUDGET_SECONDS <= seconds <= longest:
        rule = f"must be from {_LEAST_BUDGET_SECONDS:g} to {longest:g} s, not {seconds:g} s"
        raise InvalidArgumentError.of_field("training_job.budget", rule)
    return seconds
