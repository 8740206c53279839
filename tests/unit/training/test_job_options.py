import pytest
from google.protobuf.duration_pb2 import Duration

from sightsmith.api.training.v1.model_pb2 import Model
from sightsmith.api.training.v1.training_job_pb2 import TrainingJob
from sightsmith.errors import InvalidArgumentError
from sightsmith_training.engine.specification import TrainingOptions
from sightsmith_training.job_options import options_from_proto

DAY = 86400.0


def test_nothing_said_is_nothing_wished() -> None:
    assert options_from_proto(TrainingJob(), DAY) == TrainingOptions()


def test_wishes_are_read() -> None:
    job = TrainingJob(
        task=Model.TASK_DETECTION,
        effort=TrainingJob.EFFORT_BEST,
        budget=Duration(seconds=90, nanos=500_000_000),
        preference=TrainingJob.PREFERENCE_SPEED,
        variants=TrainingJob.VARIANTS_ALL,
        max_variant_loss=0.0,
        leave_out_rare_labels=True,
    )
    assert options_from_proto(job, DAY) == TrainingOptions(
        task="detection",
        effort="best",
        budget_seconds=90.5,
        preference="speed",
        variants="all",
        max_variant_loss=0.0,
        leave_out_rare_labels=True,
    )


@pytest.mark.parametrize(
    ("job", "field"),
    [
        (TrainingJob(task=77), "task"),
        (TrainingJob(effort=77), "effort"),
        (TrainingJob(preference=77), "preference"),
        (TrainingJob(variants=77), "variants"),
        (TrainingJob(max_variant_loss=1.01), "max_variant_loss"),
        (TrainingJob(max_variant_loss=float("nan")), "max_variant_loss"),
        (TrainingJob(budget=Duration(seconds=9)), "budget"),
        (TrainingJob(budget=Duration(seconds=-90)), "budget"),
        (TrainingJob(budget=Duration(seconds=86400, nanos=1)), "budget"),
        (TrainingJob(budget=Duration(seconds=2**63 - 1)), "budget"),
    ],
)
def test_what_there_is_not_is_refused_by_its_field(job: TrainingJob, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        options_from_proto(job, DAY)
    assert [violation.field for violation in caught.value.violations] == [f"training_job.{field}"]


def test_a_budget_may_be_as_long_as_is_allowed() -> None:
    assert options_from_proto(TrainingJob(budget=Duration(seconds=86400)), DAY).budget_seconds == DAY
