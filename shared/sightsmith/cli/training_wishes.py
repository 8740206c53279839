"""What the user of the command line may wish for in a training."""

from enum import StrEnum
from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration

from sightsmith.api.training.v1.model_pb2 import Model
from sightsmith.api.training.v1.training_job_pb2 import TrainingJob


class WishedTask(StrEnum):
    """What the model is to do."""

    AUTO = "auto"
    CLASSIFICATION = "classification"
    MULTI_LABEL = "multi-label"
    DETECTION = "detection"


class WishedEffort(StrEnum):
    """How much is tried."""

    FAST = "fast"
    BALANCED = "balanced"
    BEST = "best"


class Preferred(StrEnum):
    """What decides between candidates that are about equally good."""

    BALANCED = "balanced"
    SPEED = "speed"
    ACCURACY = "accuracy"


class WishedVariants(StrEnum):
    """Which variants of the ONNX file are tried."""

    AUTO = "auto"
    NONE = "none"
    ALL = "all"


TaskOption = Annotated[WishedTask, typer.Option(help="What the model is to do; auto decides from what is labelled.")]
EffortOption = Annotated[WishedEffort, typer.Option(help="How much is tried: seconds, minutes, or up to half an hour.")]
BudgetOption = Annotated[
    float | None,
    typer.Option(
        help="Seconds for the whole training, in place of what the effort stands for; a day at most, unless the server "
        "allows more.",
        min=10,
    ),
]
PreferOption = Annotated[Preferred, typer.Option(help="What decides between candidates that are about equally good.")]
VariantsOption = Annotated[
    WishedVariants,
    typer.Option(
        help="Which variants of the ONNX file with fewer bits are tried; auto: all, but none with fast effort."
    ),
]
MaxVariantLossOption = Annotated[
    float | None, typer.Option(help="How much macro-F1 or mAP a variant may lose; 0.01 if left out.", min=0, max=1)
]
OutputPrefixOption = Annotated[
    str,
    typer.Option(
        "--output-prefix",
        help="Also write the result files of Custom Labels there: s3://BUCKET/FOLDER or file:///FOLDER, where the "
        "server allows it, or a path in the project's own folder for outputs.",
    ),
]

LeaveOutRareLabelsOption = Annotated[
    bool,
    typer.Option("--leave-out-rare-labels", help="Train without the labels that have too few images, and name them."),
]

# A hundred years; what is no number compares false with it, too.
_MORE_THAN_ANY_SERVER_ALLOWS = 100 * 365 * 86_400
_TASKS = {
    WishedTask.AUTO: Model.TASK_UNSPECIFIED,
    WishedTask.CLASSIFICATION: Model.TASK_CLASSIFICATION,
    WishedTask.MULTI_LABEL: Model.TASK_MULTI_LABEL_CLASSIFICATION,
    WishedTask.DETECTION: Model.TASK_DETECTION,
}


def wishes(
    task: WishedTask,
    effort: WishedEffort,
    budget_seconds: float | None,
    prefer: Preferred,
    variants: WishedVariants = WishedVariants.AUTO,
    max_variant_loss: float | None = None,
    output_prefix: str = "",
    leave_out_rare_labels: bool = False,
) -> TrainingJob:
    """A training job in which nothing but the wishes is said.

    Raises:
        BadParameter: if the budget is not a number that can be sent.
    """
    if budget_seconds is not None and not budget_seconds < _MORE_THAN_ANY_SERVER_ALLOWS:
        raise typer.BadParameter(f"must be a number of seconds, not {budget_seconds:g}", param_hint="'--budget'")
    job = TrainingJob(
        output_prefix=output_prefix,
        task=_TASKS[task],
        effort=TrainingJob.Effort.Value(f"EFFORT_{effort.upper()}"),
        preference=TrainingJob.Preference.Value(f"PREFERENCE_{prefer.upper()}"),
        variants=TrainingJob.Variants.Value(f"VARIANTS_{variants.upper()}"),
        max_variant_loss=max_variant_loss,
        leave_out_rare_labels=leave_out_rare_labels,
    )
    if budget_seconds is not None:
        job.budget.CopyFrom(Duration(seconds=int(budget_seconds), nanos=int(budget_seconds % 1 * 1_000_000_000)))
    return job
