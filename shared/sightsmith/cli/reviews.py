"""`sightsmith review`."""

from collections.abc import Sequence
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from sightsmith.api.labeling.v1.review_item_pb2 import Answer, ReviewItem
from sightsmith.api.labeling.v1.review_service_pb2 import Agreement, ListReviewItemsRequest
from sightsmith.cli.boxes import BOX, BOX_HELP, read_box
from sightsmith.cli.output import MOST, JsonOption, Output, fields_of, list_of
from sightsmith.cli.training import ProjectArgument
from sightsmith.client import Client
from sightsmith.names import ReviewItemName

_MOST_REVIEWS = 20

review_app = typer.Typer(help="Look at predictions, and say what is really in the images.")


def _read_labelled_box(text: str) -> Answer.Label:
    label, _, box = text.rpartition("=")
    if not label:
        raise typer.BadParameter(f"must be LABEL={BOX}, not {text[:80]!r}")
    return Answer.Label(label=label, box=read_box(box))


ItemArgument = Annotated[str, typer.Argument(help="Id of the item.")]
ReviewerOption = Annotated[str, typer.Option(help="The person; you, if left out.")]
LabelsOption = Annotated[list[str] | None, typer.Option("--label", help="What the image shows; may be repeated.")]
BoxesOption = Annotated[
    list[Answer.Label] | None,
    typer.Option(
        "--box",
        parser=_read_labelled_box,
        metavar=f"LABEL={BOX}",
        help=f"A box {BOX_HELP}, and what it holds; may be repeated.",
    ),
]
NoneOption = Annotated[bool, typer.Option("--none", help="The image shows nothing of use.")]


class State(StrEnum):
    """Where an item stands."""

    PENDING = "pending"
    IN_REVIEW = "in-review"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DISPUTED = "disputed"


class Reason(StrEnum):
    """Why a prediction is to be looked at."""

    RANDOM = "random"
    LOW_CONFIDENCE = "low-confidence"
    NEAR_THRESHOLD = "near-threshold"
    DISAGREEMENT = "disagreement"
    DRIFT = "drift"
    REQUESTED = "requested"


@review_app.command("list")
def list_command(
    project: ProjectArgument,
    state: Annotated[list[State] | None, typer.Option(help="Where they stand; may be repeated.")] = None,
    reviewer: Annotated[str, typer.Option(help="Who reviewed them or is to do so.")] = "",
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=MOST)] = 100,
    as_json: JsonOption = False,
) -> None:
    """List the queue, the oldest first."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        states = [ReviewItem.State.Value(f"STATE_{one.name}") for one in state or ()]
        wanted = ListReviewItemsRequest.Filter(states=states, reviewer=reviewer)
        items = list(islice(client.reviews.list(project, wanted), limit))
    output.result({"review_items": list_of(items)}, _table(items))


@review_app.command("request")
def request_command(
    project: ProjectArgument,
    image: Annotated[Path, typer.Argument(help="The image.", dir_okay=False)],
    predicted: Annotated[
        list[str] | None, typer.Option(help="What was predicted, as LABEL=CONFIDENCE; may be repeated.")
    ] = None,
    model: Annotated[str, typer.Option(help="Which model predicted it, by its full name.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Put an image into the queue, with what was predicted of it."""
    output = Output(as_json)
    item = ReviewItem(model=model, predictions=[_prediction(one) for one in predicted or ()])
    with output.failing_clearly(), Client.connect() as client:
        made = client.reviews.request(project, image.read_bytes(), item)
    output.result(fields_of(made), _table([made]))


@review_app.command("download")
def download_command(
    project: ProjectArgument,
    item: ItemArgument,
    path: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    thumbnail: Annotated[bool, typer.Option("--thumbnail", help="A small copy in place of the image.")] = False,
) -> None:
    """Write the image of an item to a file."""
    output = Output(False)
    with output.failing_clearly(), Client.connect() as client:
        name = str(ReviewItemName(project, item))
        path.write_bytes(client.reviews.thumbnail(name) if thumbnail else client.reviews.download(name))


@review_app.command("claim")
def claim_command(
    project: ProjectArgument,
    count: Annotated[int, typer.Option(help="How many at most.", min=1, max=100)] = 10,
    reviewer: ReviewerOption = "",
    reason: Annotated[
        list[Reason] | None,
        typer.Option(help="Only what is in the queue for it; may be repeated, and the first goes first."),
    ] = None,
    save_to: Annotated[Path | None, typer.Option(help="Folder to put the images into, named by item.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Take the oldest items that need a reviewer; they are kept for you for a while."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        reasons = [ReviewItem.Reason.Value(f"REASON_{one.name}") for one in reason or ()]
        items = client.reviews.claim(project, count, reviewer, reasons)
        if save_to is not None:
            _save(client, items, save_to)
    output.result({"review_items": list_of(items)}, _table(items))


@review_app.command("assign")
def assign_command(
    project: ProjectArgument,
    ids: Annotated[list[str], typer.Argument(help="Ids of the items.")],
    reviewer: Annotated[str, typer.Option(help="The person.")],
    as_json: JsonOption = False,
) -> None:
    """Give items to a person, with no limit of time."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        items = client.reviews.assign(project, _names(project, ids), reviewer)
    output.result({"review_items": list_of(items)}, _table(items))


@review_app.command("release")
def release_command(
    project: ProjectArgument,
    ids: Annotated[list[str], typer.Argument(help="Ids of the items.")],
    reviewer: ReviewerOption = "",
    as_json: JsonOption = False,
) -> None:
    """Give items back without a review."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        items = client.reviews.release(project, _names(project, ids), reviewer)
    output.result({"review_items": list_of(items)}, _table(items))


@review_app.command("submit")
def submit_command(
    project: ProjectArgument,
    item: ItemArgument,
    label: LabelsOption = None,
    box: BoxesOption = None,
    none: NoneOption = False,
    skip: Annotated[bool, typer.Option("--skip", help="You cannot tell.")] = False,
    comment: Annotated[str, typer.Option(help="A word to whoever settles it.")] = "",
    reviewer: ReviewerOption = "",
    as_json: JsonOption = False,
) -> None:
    """Say what is in an item's image."""
    output = Output(as_json)
    answer = _answer(label, box, none, skip, comment)
    with output.failing_clearly(), Client.connect() as client:
        reviewed = client.reviews.submit(str(ReviewItemName(project, item)), answer, reviewer)
    output.result(fields_of(reviewed), _table([reviewed]))


@review_app.command("resolve")
def resolve_command(
    project: ProjectArgument,
    item: ItemArgument,
    label: LabelsOption = None,
    box: BoxesOption = None,
    none: NoneOption = False,
    comment: Annotated[str, typer.Option(help="Why.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Settle an item that reviewers do not agree on."""
    output = Output(as_json)
    answer = _answer(label, box, none, False, comment)
    with output.failing_clearly(), Client.connect() as client:
        settled = client.reviews.resolve(str(ReviewItemName(project, item)), answer)
    output.result(fields_of(settled), _table([settled]))


@review_app.command("agreement")
def agreement_command(project: ProjectArgument, as_json: JsonOption = False) -> None:
    """Show how far reviewers agree."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        found = client.reviews.agreement(project)
    output.result(fields_of(found), _agreement_table(found))


def _few(required: int | None) -> int | None:
    """Says the whole range, of which the option's own check names one end."""
    if required is not None and not 1 <= required <= _MOST_REVIEWS:
        raise typer.BadParameter(f"must be 1 to {_MOST_REVIEWS}, not {required}")
    return required


@review_app.command("policy")
def policy_command(
    project: ProjectArgument,
    required: Annotated[int | None, typer.Option(help="How many people must agree, 1 to 20.", callback=_few)] = None,
    as_json: JsonOption = False,
) -> None:
    """Show or set how many people must agree on an item."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        if required is not None:
            client.reviews.require_reviews(project, required)
        needed = client.reviews.required_reviews(project)
    output.result({"required_reviews": needed}, f"{needed} must agree")


def _answer(
    labels: Sequence[str] | None, boxes: Sequence[Answer.Label] | None, none: bool, skip: bool, comment: str
) -> Answer:
    if (bool(labels or boxes), none, skip).count(True) != 1:
        raise typer.BadParameter("give --label or --box, --none, or --skip")
    verdict = Answer.VERDICT_NONE if none else Answer.VERDICT_SKIPPED if skip else Answer.VERDICT_LABELLED
    said = [*(Answer.Label(label=label) for label in labels or ()), *(boxes or ())]
    return Answer(verdict=verdict, labels=said, comment=comment)


def _prediction(text: str) -> ReviewItem.Prediction:
    label, _, confidence = text.rpartition("=")
    try:
        return ReviewItem.Prediction(label=label, confidence=float(confidence))
    except ValueError:
        raise typer.BadParameter(f"--predicted must look like cat=0.4, not {text[:80]!r}") from None


def _names(project: str, ids: Sequence[str]) -> Sequence[str]:
    return [str(ReviewItemName(project, item)) for item in ids]


def _save(client: Client, items: Sequence[ReviewItem], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for item in items:
        (folder / item.name.rpartition("/")[2]).write_bytes(client.reviews.download(item.name))


def _table(items: Sequence[ReviewItem]) -> Table:
    table = Table()
    for column in ("id", "state", "predicted", "why", "reviewers", "image"):
        table.add_column(column, overflow="fold")
    for item in items:
        best = item.predictions[0] if item.predictions else None
        table.add_row(
            item.name.rpartition("/")[2],
            _words(ReviewItem.State.Name(item.state), "STATE_"),
            f"{escape(best.label)} {best.confidence:.3f}" if best is not None else "",
            _words(ReviewItem.Reason.Name(item.reason), "REASON_"),
            escape(", ".join(review.reviewer for review in item.reviews)),
            item.image.partition("/datasets/")[2],
        )
    return table


def _words(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).replace("_", " ").lower()


def _agreement_table(agreement: Agreement) -> Table:
    fleiss = f"{agreement.fleiss_kappa:.3f}" if agreement.HasField("fleiss_kappa") else "none"
    table = Table(caption=f"{agreement.item_count} items with two reviews or more; Fleiss' kappa {fleiss}")
    table.add_column("reviewers", overflow="fold")
    for column in ("items", "agree on", "Cohen's kappa"):
        table.add_column(column, justify="right")
    for pair in agreement.pairs:
        kappa = f"{pair.cohen_kappa:.3f}" if pair.HasField("cohen_kappa") else ""
        names = escape(f"{pair.reviewer}, {pair.other_reviewer}")
        table.add_row(names, str(pair.item_count), f"{pair.percent_agreement:.0%}", kappa)
    return table
