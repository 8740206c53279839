"""`sightsmith suggest` and `suggestions`."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from sightsmith.api.labeling.v1.annotation_pb2 import BoundingBox
from sightsmith.api.labeling.v1.suggestion_pb2 import Suggestion, SuggestionJob
from sightsmith.api.labeling.v1.suggestion_service_pb2 import (
    BatchDecideSuggestionsResponse,
    ListSuggestionsRequest,
    SuggestionFilter,
)
from sightsmith.cli.boxes import BOX, BOX_HELP, read_box
from sightsmith.cli.output import MOST, JsonOption, Output, fields_of, list_of
from sightsmith.cli.serving import DEFAULT_DEPLOYMENT
from sightsmith.cli.training import ProjectArgument
from sightsmith.client import Client
from sightsmith.client.batch_suggestions import ImagesBySource, Tally, batches_of_suggestions
from sightsmith.names import DatasetName, SuggestionName

suggestions_app = typer.Typer(help="Look at what models propose, and accept, reject or correct it.")


class State(StrEnum):
    """What became of a suggestion."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    CORRECTED = "corrected"
    REJECTED = "rejected"


class Order(StrEnum):
    """In which order suggestions are shown."""

    IMAGE = "image"
    LEAST_CONFIDENT = "least-confident"
    MOST_CONFIDENT = "most-confident"


_ORDERS = {
    Order.IMAGE: ListSuggestionsRequest.ORDER_UNSPECIFIED,
    Order.LEAST_CONFIDENT: ListSuggestionsRequest.ORDER_LEAST_CONFIDENT_FIRST,
    Order.MOST_CONFIDENT: ListSuggestionsRequest.ORDER_MOST_CONFIDENT_FIRST,
}
IdsArgument = Annotated[list[str] | None, typer.Argument(help="Ids of the suggestions; or give a filter.")]
LabelOption = Annotated[str, typer.Option(help="Only of this label.")]
ModelOption = Annotated[str, typer.Option(help="Only by this model, by its full name.")]
ConfidenceOption = Annotated[float, typer.Option(help="Only from this confidence on, 0 to 1.")]
DatasetOption = Annotated[str, typer.Option(help="Only for images of this dataset.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Tell only what would be done.")]


def suggest_command(
    project: ProjectArgument,
    deployment: Annotated[str, typer.Option(help="Which deployment to ask.")] = DEFAULT_DEPLOYMENT,
    min_confidence: Annotated[
        float, typer.Option(help="Predictions below it make no suggestion; above 0, at most 1.")
    ] = 0.8,
    dataset: Annotated[str, typer.Option(help="Id of the dataset; every one of the project if left out.")] = "",
    include_labelled: Annotated[
        bool, typer.Option("--include-labelled", help="Look at images that carry a label already, too.")
    ] = False,
    max_images: Annotated[
        int, typer.Option(help="How many images to look at, at most; 0 for all.", min=0, max=MOST)
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Have a deployed model propose labels for images that have none."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        job = client.suggestions.run(
            project,
            deployment,
            min_confidence,
            dataset=dataset,
            include_labelled=include_labelled,
            max_images=max_images,
        )
        job = client.suggestions.succeeded(_follow(client, job, output))
    failed = f", {job.failed_image_count} could not be looked at" if job.failed_image_count else ""
    output.result(fields_of(job), f"{job.suggestion_count} suggestions for {job.image_count} images{failed}")


@suggestions_app.command("list")
def list_command(
    project: ProjectArgument,
    state: Annotated[State, typer.Option(help="What became of them.")] = State.PENDING,
    label: LabelOption = "",
    model: ModelOption = "",
    min_confidence: ConfidenceOption = 0.0,
    dataset: DatasetOption = "",
    order: Annotated[Order, typer.Option(help="In which order.")] = Order.IMAGE,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=MOST)] = 100,
    as_json: JsonOption = False,
) -> None:
    """List suggestions."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        wanted = _filter(project, label, model, min_confidence, dataset)
        wanted.states.append(Suggestion.State.Value(f"STATE_{state.name}"))
        found = list(islice(client.suggestions.list(project, wanted, _ORDERS[order]), limit))
    output.result({"suggestions": list_of(found)}, _table(found))


@suggestions_app.command("accept")
def accept_command(
    project: ProjectArgument,
    ids: IdsArgument = None,
    label: LabelOption = "",
    model: ModelOption = "",
    min_confidence: ConfidenceOption = 0.0,
    dataset: DatasetOption = "",
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Put suggestions on their images: those that are named, or every pending one of a filter."""
    output = Output(as_json)
    names, wanted = _chosen(project, ids, _filter(project, label, model, min_confidence, dataset))
    with output.failing_clearly(), Client.connect() as client:
        decided = client.suggestions.accept(project, names, wanted, validate_only=dry_run)
    output.result(fields_of(decided), *_decided(decided, "to be accepted" if dry_run else "accepted"))


@suggestions_app.command("reject")
def reject_command(
    project: ProjectArgument,
    ids: IdsArgument = None,
    label: LabelOption = "",
    model: ModelOption = "",
    min_confidence: ConfidenceOption = 0.0,
    dataset: DatasetOption = "",
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say that suggestions are wrong: those that are named, or every pending one of a filter."""
    output = Output(as_json)
    names, wanted = _chosen(project, ids, _filter(project, label, model, min_confidence, dataset))
    with output.failing_clearly(), Client.connect() as client:
        decided = client.suggestions.reject(project, names, wanted, validate_only=dry_run)
    output.result(fields_of(decided), *_decided(decided, "to be rejected" if dry_run else "rejected"))


@suggestions_app.command("correct")
def correct_command(
    project: ProjectArgument,
    suggestion: Annotated[str, typer.Argument(help="Id of the suggestion.")],
    label: Annotated[str, typer.Option(help="The right label; as suggested if left out.")] = "",
    box: Annotated[
        BoundingBox | None,
        typer.Option(parser=read_box, metavar=BOX, help=f"The right box {BOX_HELP}; as suggested if left out."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Put something else on the image than was suggested."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        name = str(SuggestionName(project, suggestion))
        corrected = client.suggestions.correct(name, label, box)
    output.result(fields_of(corrected), f"{corrected.image.name} is labelled {', '.join(corrected.image.labels)}")


@suggestions_app.command("import")
def import_command(
    project: ProjectArgument,
    file: Annotated[Path, typer.Argument(help="The results.jsonl of a batch prediction job.")],
    min_confidence: Annotated[
        float, typer.Option(help="Predictions below it make no suggestion; above 0, at most 1.", min=1e-6, max=1)
    ] = 0.8,
    as_json: JsonOption = False,
) -> None:
    """Make suggestions of the results of a batch prediction job."""
    output, tally, count, brought = Output(as_json), Tally(), 0, 0
    with output.failing_clearly(), Client.connect() as client, file.open("rb") as lines:
        image_of = ImagesBySource(client, project).find
        for batch in batches_of_suggestions(lines, image_of, min_confidence, tally):
            count += len(client.suggestions.bring(project, batch))
            brought += len(batch)
    told = [
        f"[bold]{count}[/] suggestions for {tally.images} images; {tally.unknown} images are not in the project, "
        f"{tally.unanswered} were not answered"
    ]
    if brought > count:
        told.append(f"{brought - count} are no suggestions: the images carry it already, or it was rejected before")
    output.result({"suggestion_count": count, "known_count": brought - count, **vars(tally)}, *told)


def _follow(client: Client, job: SuggestionJob, output: Output) -> SuggestionJob:
    with output.progress() as progress:
        task = progress.add_task("looking at images", total=None, note="")
        for change in client.suggestions.watch(job.name):
            total = change.progress.total_count or None
            progress.update(task, completed=change.progress.done_count, total=total)
            job = change
    return job


def _filter(project: str, label: str, model: str, min_confidence: float, dataset: str) -> SuggestionFilter:
    name = str(DatasetName(project, dataset)) if dataset else ""
    return SuggestionFilter(label=label, model=model, min_confidence=min_confidence, dataset=name)


def _chosen(
    project: str, ids: Sequence[str] | None, wanted: SuggestionFilter
) -> tuple[Sequence[str], SuggestionFilter | None]:
    if ids and wanted.ListFields():
        raise typer.BadParameter("give ids or a filter, not both")
    if ids:
        return [str(SuggestionName(project, suggestion)) for suggestion in ids], None
    if not wanted.ListFields():
        raise typer.BadParameter(
            "give ids, or an option such as --min-confidence that says which suggestions are meant"
        )
    return [], wanted


def _table(suggestions: Sequence[Suggestion]) -> Table:
    table = Table()
    for column in ("id", "image", "label", "confidence", "model"):
        table.add_column(column, overflow="fold", justify="right" if column == "confidence" else "left")
    for suggestion in suggestions:
        place = f" at {suggestion.box.left:.0f}, {suggestion.box.top:.0f}" if suggestion.HasField("box") else ""
        table.add_row(
            suggestion.name.rpartition("/")[2],
            suggestion.image.partition("/datasets/")[2],
            escape(suggestion.label) + place,
            f"{suggestion.confidence:.3f}",
            escape(suggestion.model),
        )
    return table


def _decided(decided: BatchDecideSuggestionsResponse, what: str) -> Iterable[Table | str]:
    if decided.label_counts:
        yield _decided_table(decided)
    yield f"[bold]{decided.suggestion_count}[/] {what}, on images: {decided.image_count}"
    for skipped in decided.skipped_suggestions:
        state = Suggestion.State.Name(skipped.state).removeprefix("STATE_").lower()
        when = skipped.decide_time.ToDatetime().isoformat(" ", "seconds")
        by = f" by {escape(skipped.decider)}" if skipped.decider else ""
        yield f"left as it is: {skipped.name.rpartition('/')[2]} was {state}{by} on {when}"


def _decided_table(decided: BatchDecideSuggestionsResponse) -> Table:
    table = Table()
    table.add_column("label", overflow="fold")
    table.add_column("suggestions", justify="right")
    for count in decided.label_counts:
        table.add_row(escape(count.label), str(count.suggestion_count))
    return table
