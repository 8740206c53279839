"""`sightsmith embeddings`, `similar`, `duplicates`, `label-like` and `label-next`."""

import time
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from sightsmith.api.labeling.v1.image_pb2 import Image
from sightsmith.api.labeling.v1.similarity_service_pb2 import EmbeddingProgress, SimilarImage
from sightsmith.cli.image_names import IMAGE_HELP, DatasetOption, image_name
from sightsmith.cli.output import JsonOption, Output, fields_of, list_of
from sightsmith.cli.training import ProjectArgument
from sightsmith.client import Client
from sightsmith.client.similarity import Strategy
from sightsmith.names import DatasetName, DeploymentName, ProjectName

_POLL_SECONDS = 0.5

MinSimilarityOption = Annotated[float, typer.Option(help="How similar images must be, 0 to 1.", min=0, max=1)]
CountOption = Annotated[int, typer.Option(help="How many images at most.", min=1, max=200)]


class Order(StrEnum):
    """In which order to label images."""

    DIVERSITY = "diversity"
    UNCERTAINTY = "uncertainty"


def embeddings_command(
    project: ProjectArgument,
    wait: Annotated[bool, typer.Option(help="Wait until every image can be found.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell how many images can be found by what they look like."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        progress = client.similarity.progress(str(ProjectName(project)))
        if wait:
            with output.progress() as bar:
                progress = _wait(client, project, bar)
    done = f"{progress.embedded_image_count} of {progress.image_count} images can be found by what they look like"
    failed = f"; {progress.failed_image_count} cannot be read" if progress.failed_image_count else ""
    output.result(fields_of(progress), done + failed)


def similar_command(
    project: ProjectArgument,
    query: Annotated[str, typer.Argument(help=f"A picture file, or an image of the project, {IMAGE_HELP}.")],
    dataset: DatasetOption = "train",
    label: Annotated[list[str] | None, typer.Option(help="Only images with this label; may be repeated.")] = None,
    unlabelled: Annotated[bool, typer.Option(help="Only images without any label.")] = False,
    min_similarity: MinSimilarityOption = 0.0,
    count: CountOption = 20,
    as_json: JsonOption = False,
) -> None:
    """Find the images that look most like a picture."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        found = client.similarity.find(
            str(ProjectName(project)),
            _picture(project, dataset, query),
            labels=label or (),
            unlabelled_only=unlabelled,
            min_similarity=min_similarity,
            max_results=count,
        )
    output.result({"images": list_of(found)}, _similar_table(found))


def duplicates_command(
    project: ProjectArgument,
    min_similarity: MinSimilarityOption = 0.95,
    as_json: JsonOption = False,
) -> None:
    """List pairs of images that are nearly the same, also those of which one is for training and one for testing."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        pairs = list(client.similarity.near_duplicates(str(ProjectName(project)), min_similarity))
    table = _folded("first", "second", "dataset")
    table.add_column("similarity", justify="right")
    for pair in pairs:
        datasets = dict.fromkeys(image.name.split("/")[3] for image in (pair.first, pair.second))
        similarity = f"{pair.similarity:.3f}"
        table.add_row(escape(pair.first.source), escape(pair.second.source), ", ".join(datasets), similarity)
    output.result({"pairs": list_of(pairs)}, table)


def label_like_command(
    project: ProjectArgument,
    example: Annotated[str, typer.Argument(help=f"The image that carries the labels, {IMAGE_HELP}.")],
    images: Annotated[list[str] | None, typer.Argument(help=f"The images to label, each {IMAGE_HELP}.")] = None,
    dataset: DatasetOption = "train",
    min_similarity: MinSimilarityOption = 0.0,
    preview: Annotated[bool, typer.Option(help="Show what would be labelled, and change nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Put the labels of an image on others: those named, or all unlabelled ones that look enough like it."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        like, *others = (str(image_name(project, dataset, image)) for image in (example, *(images or ())))
        done = client.similarity.label_like(like, others, min_similarity=min_similarity, preview_only=preview)
    verb = "would be labelled" if preview else "labelled"
    summary = f"{len(done.images)} images {verb} {', '.join(done.labels)}"
    output.result(fields_of(done), _similar_table(done.images), escape(summary))


def label_next_command(
    project: ProjectArgument,
    dataset: Annotated[str, typer.Option(help="Id of the dataset.")] = "train",
    by: Annotated[Order, typer.Option(help="Unlike what is labelled, or unsure for a model.")] = Order.DIVERSITY,
    deployment: Annotated[str, typer.Option(help="Which deployment is to be unsure.")] = "",
    count: CountOption = 20,
    as_json: JsonOption = False,
) -> None:
    """List the unlabelled images from which most is learned, in the order in which to label them."""
    output = Output(as_json)
    if deployment and by is not Order.UNCERTAINTY:
        raise typer.BadParameter("--deployment needs --by uncertainty")
    with output.failing_clearly(), Client.connect() as client:
        order = client.similarity.order_for_labelling(
            str(DatasetName(project, dataset)),
            Strategy.Value(f"STRATEGY_{by.name}"),
            deployment=str(DeploymentName(project, deployment)) if deployment else "",
            max_results=count,
        )
    table = _folded("image", "name")
    table.add_column(by.value, justify="right")
    for item in order.items:
        table.add_row(escape(item.image.source), item.image.name, f"{item.score:.3f}")
    output.result(fields_of(order), table)


def _picture(project: str, dataset: str, query: str) -> str | bytes:
    """What to compare with: the bytes of a file if there is one, and otherwise the name of an image."""
    path = Path(query)
    # What has a dot is no id, so it is a file that is missing.
    if path.is_file() or path.suffix:
        return path.read_bytes()
    return str(image_name(project, dataset, query))


def _wait(client: Client, project: str, bar: Progress) -> EmbeddingProgress:
    """Waits until every image has its embedding, with a progress bar."""
    task = bar.add_task("embedding", note="")
    while True:
        progress = client.similarity.progress(str(ProjectName(project)))
        done = progress.embedded_image_count + progress.failed_image_count
        bar.update(task, completed=done, total=progress.image_count, note=f"{done} images")
        if done == progress.image_count:
            return progress
        time.sleep(_POLL_SECONDS)


def _similar_table(found: Iterable[SimilarImage]) -> Table:
    table = _folded("image", "labels", "name")
    table.add_column("similarity", justify="right")
    for similar in found:
        image = similar.image
        table.add_row(escape(image.source), escape(_labels_of(image)), image.name, f"{similar.similarity:.3f}")
    return table


def _labels_of(image: Image) -> str:
    return ", ".join(image.labels)


def _folded(*headings: str) -> Table:
    """A table whose names are whole however narrow the terminal is: the next command needs them."""
    table = Table()
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
