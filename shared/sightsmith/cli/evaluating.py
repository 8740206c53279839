"""`sightsmith evaluate`: how good a model is, in short and with pictures."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from sightsmith.api.training.v1 import evaluation_pb2
from sightsmith.cli.evaluation_tables import figures_of
from sightsmith.cli.output import JsonOption, Output, fields_of, list_of
from sightsmith.cli.training import LATEST, ProjectArgument, model_name
from sightsmith.client import Client
from sightsmith.demo.contact_sheet import Tile, write_contact_sheet


def evaluate_command(
    project: ProjectArgument,
    model: Annotated[str, typer.Argument(help="Id of the model, such as v1.")] = LATEST,
    contact_sheet: Annotated[
        Path | None, typer.Option(help="Write a picture of all test images with what the model said.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how good a model is, label by label, and its most confident mistakes."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        name = model_name(client, project, model)
        evaluation = client.evaluation(name)
        images = list(client.evaluated_images(name))
        if contact_sheet is not None:
            write_contact_sheet(contact_sheet, [_tile(client, image) for image in images], name)
            output.console.print(f"written: {contact_sheet}")
    mistakes = [image for image in images if image.true_label != image.predicted_label]
    output.result(
        {"evaluation": fields_of(evaluation), "evaluated_images": list_of(images)},
        metrics_table(name, evaluation),
        *([_mistakes_table(mistakes)] if mistakes else ["no mistakes"]),
    )


def metrics_table(title: str, evaluation: evaluation_pb2.Evaluation) -> Table:
    """A row a label, and one for their averages."""
    basis = "test" if evaluation.basis == evaluation_pb2.Evaluation.BASIS_TEST else "cross-validated"
    summary = evaluation.summary
    table = Table(title=f"{title}: {summary.accuracy:.1%} of {evaluation.image_count} {basis} images right")
    table.add_column("label", overflow="fold")
    for heading in ("precision", "recall", "F1", "images"):
        table.add_column(heading, justify="right")
    for metrics in evaluation.label_metrics:
        table.add_row(escape(metrics.label), *figures_of(metrics), str(metrics.image_count))
    table.add_section()
    figures = (f"{summary.macro_precision:.3f}", f"{summary.macro_recall:.3f}", f"{summary.macro_f1:.3f}")
    table.add_row("all labels (macro)", *figures, str(evaluation.image_count), style="bold")
    return table


def _mistakes_table(mistakes: list[evaluation_pb2.EvaluatedImage]) -> Table:
    table = Table(title="mistakes, the most confident first")
    for heading in ("image", "is", "taken for"):
        table.add_column(heading, overflow="fold")
    table.add_column("confidence", justify="right")
    for image in mistakes:
        names = (image.source or image.image, image.true_label, image.predicted_label)
        table.add_row(*map(escape, names), f"{image.confidence:.3f}")
    return table


def _tile(client: Client, image: evaluation_pb2.EvaluatedImage) -> Tile:
    return Tile(client.download(image.image), image.true_label, image.predicted_label, image.confidence)
