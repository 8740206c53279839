"""`sightsmith models evaluation`, `mistakes`, `compare` and `thresholds`."""

from collections.abc import Sequence
from enum import StrEnum
from itertools import islice
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from sightsmith.api.training.v1.finding_pb2 import Finding
from sightsmith.api.training.v1.model_pb2 import Model
from sightsmith.cli.evaluation_tables import comparison_tables, evaluation_tables, is_asked_for, mistakes_table
from sightsmith.cli.judging import OnOption, newest_on
from sightsmith.cli.models import ModelArgument
from sightsmith.cli.output import MOST, JsonOption, Output, fields_of, list_of
from sightsmith.cli.own_names import own_evaluation, project_id
from sightsmith.cli.training import LATEST, ProjectArgument, model_name
from sightsmith.client import Client
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import SnapshotName

EvaluationOption = Annotated[
    str | None,
    typer.Option("--evaluation", help="Id of an evaluation by other images; the training's own if left out."),
]
_PAGE_SIZE = 100
# What holds where a model has no thresholds: the best label of an image, and boxes or labels from one half on.
_UNSET = {Model.TASK_CLASSIFICATION: 0.0}
_OTHERWISE_UNSET = 0.5


class Mistaken(StrEnum):
    """In which way a model was wrong."""

    ANY = "any"
    FALSE_POSITIVE = "false-positive"
    FALSE_NEGATIVE = "false-negative"


_OUTCOMES = {
    Mistaken.ANY: Finding.OUTCOME_UNSPECIFIED,
    Mistaken.FALSE_POSITIVE: Finding.OUTCOME_FALSE_POSITIVE,
    Mistaken.FALSE_NEGATIVE: Finding.OUTCOME_FALSE_NEGATIVE,
}


def evaluation_command(
    project: ProjectArgument,
    model: ModelArgument = LATEST,
    evaluation_id: EvaluationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how good a model is, how sure that is, and what would help."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        name = _asked_for(model_name(client, project, model), evaluation_id)
        evaluation = client.evaluations.get(name)
    output.result(fields_of(evaluation), *evaluation_tables(name, evaluation))


def mistakes_command(
    project: ProjectArgument,
    model: ModelArgument = LATEST,
    label: Annotated[str, typer.Option(help="Only mistakes with this label.")] = "",
    outcome: Annotated[
        Mistaken, typer.Option(help="Only what was wrongly predicted, or only what was missed.")
    ] = Mistaken.ANY,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many images to show.")] = 20,
    evaluation_id: EvaluationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the images on which a model is wrong, the most confident mistakes first."""
    output, kind = Output(as_json), _OUTCOMES[outcome]
    with output.failing_clearly(), Client.connect() as client:
        name = _asked_for(model_name(client, project, model), evaluation_id)
        images = client.evaluations.images(name, label, kind, min(limit, _PAGE_SIZE))
        wrong = (image for image in images if any(is_asked_for(finding, label, kind) for finding in image.findings))
        found = list(islice(wrong, limit))
    output.result({"evaluated_images": list_of(found)}, mistakes_table(found, label, kind) if found else "no mistakes")


def compare_command(
    project: ProjectArgument,
    baseline: Annotated[str, typer.Argument(help="Id of the model to compare with, such as v1.")],
    candidate: ModelArgument = LATEST,
    snapshot: Annotated[
        int | None,
        typer.Option(min=1, help="Number of a snapshot that both were judged by; their own test images if left out."),
    ] = None,
    on: OnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell which of two models is better on the images that both were judged by, and whether that may be chance."""
    if on is not None and snapshot is None:
        raise typer.BadParameter("--on says whose snapshot is meant: give --snapshot, too")
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        names = [model_name(client, project, model) for model in (baseline, candidate)]
        if snapshot is not None:
            judged_by = str(SnapshotName(project_id(on, "--on") if on else project, str(snapshot)))
            names = [newest_on(client, name, judged_by) for name in names]
        if names[0] == names[1]:
            raise InvalidArgumentError.of_field("candidate", f"is the baseline itself, {names[0]}")
        comparison = client.evaluations.compare(*names)
    output.result(fields_of(comparison), *comparison_tables(comparison))


def thresholds_command(
    project: ProjectArgument,
    model: ModelArgument,
    thresholds: Annotated[list[str] | None, typer.Argument(help="LABEL=SCORE, as many as you like.")] = None,
    best_label: Annotated[
        bool, typer.Option("--best-label", help="Take all away: the best label of an image is the answer.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show or change the scores from which on labels hold. Deployments follow by themselves."""
    output, told = Output(as_json), _read(thresholds or [])
    if best_label and told:
        raise typer.BadParameter("--best-label leaves no thresholds")
    with output.failing_clearly(), Client.connect() as client:
        found = client.model(model_name(client, project, model))
        if told or best_label:
            wanted = {} if best_label else {**_held(found), **told}
            # With the etag: thresholds that somebody else sets at the same time are not lost.
            found = client.models.set_thresholds(found.name, wanted, found.etag)
    output.result(
        fields_of(found), _table(found) if found.thresholds else "the label with the best score is the answer"
    )


def _asked_for(model: str, evaluation_id: str | None) -> str:
    return own_evaluation(model, evaluation_id) if evaluation_id else model


def _read(thresholds: Sequence[str]) -> dict[str, float]:
    read = {}
    for threshold in thresholds:
        label, _, score = threshold.rpartition("=")
        try:
            read[label] = float(score)
        except ValueError:
            label = ""
        if not label:
            raise typer.BadParameter(f"must be LABEL=SCORE, not {threshold[:80]!r}")
    return read


def _held(model: Model) -> dict[str, float]:
    """The thresholds of all labels."""
    unset = _UNSET.get(model.task, _OTHERWISE_UNSET)
    return dict.fromkeys(model.labels, unset) | {held.label: held.threshold for held in model.thresholds}


def _table(model: Model) -> Table:
    table = Table("label", "holds from", title=model.name)
    for held in model.thresholds:
        table.add_row(escape(held.label), f"{held.threshold:.3f}")
    return table
