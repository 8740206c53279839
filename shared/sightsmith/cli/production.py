"""`sightsmith deployments figures`: how a model does in production, beside what its test images said."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from sightsmith.api.labeling.v1.review_item_pb2 import ReviewItem
from sightsmith.api.labeling.v1.review_service_pb2 import PrecisionEstimate
from sightsmith.api.training.v1.evaluation_pb2 import Evaluation
from sightsmith.cli.output import JsonOption, Output, fields_of
from sightsmith.cli.training import ProjectArgument, short_id
from sightsmith.client import Client
from sightsmith.errors import FailedPreconditionError
from sightsmith.names import DeploymentName


def figures_command(
    project: ProjectArgument,
    name: Annotated[str, typer.Argument(help="Id of the deployment, such as live.")],
    as_json: JsonOption = False,
) -> None:
    """Show how often the answers are right, by what people reviewed of them, beside the test figures of the model."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        deployment = client.deployment(str(DeploymentName(project, name)))
        model = deployment.serving_model
        if not model:
            raise FailedPreconditionError(
                f"{deployment.name} does not answer now: there is no model to tell figures of"
            )
        evaluation = client.evaluations.get(model)
        estimate = client.reviews.precision(project, name, model)
    told = {"model": model, "test": fields_of(evaluation.summary), "production": fields_of(estimate)}
    output.result(told, _beside(model, evaluation, estimate), _by_reason(estimate))


def _beside(model: str, evaluation: Evaluation, estimate: PrecisionEstimate) -> Table:
    table = Table("model", "test macro-F1", "test precision", "precision in production", "95 % interval")
    summary = evaluation.summary
    precision = summary.micro_precision if summary.HasField("micro_precision") else summary.macro_precision
    is_known = estimate.HasField("precision")
    table.add_row(
        escape(short_id(model)),
        f"{summary.macro_f1:.3f}",
        f"{precision:.3f}",
        f"{estimate.precision:.3f}" if is_known else "not known yet",
        f"{estimate.lower_bound:.3f} to {estimate.upper_bound:.3f}" if is_known else "",
    )
    return table


def _by_reason(estimate: PrecisionEstimate) -> Table:
    table = Table("sampled for", "sampled", "reviewed", "corrected", "stand for")
    for stratum in estimate.strata:
        stands_for = stratum.estimated_prediction_count
        table.add_row(
            ReviewItem.Reason.Name(stratum.reason).removeprefix("REASON_").replace("_", " ").lower(),
            str(stratum.sampled_count),
            str(stratum.reviewed_count),
            str(stratum.corrected_count),
            f"{stands_for:.0f} predictions" if stands_for else "not known",
        )
    return table
