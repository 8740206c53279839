"""`sightsmith snapshots`: list, take, diff and restore."""

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TEST
from sightsmith.api.labeling.v1.snapshot_pb2 import LabelledBox, Snapshot
from sightsmith.api.labeling.v1.snapshot_service_pb2 import ImageDifference, RestoreSnapshotResponse
from sightsmith.cli.output import MOST, JsonOption, Output, fields_of, list_of
from sightsmith.cli.training import ProjectArgument
from sightsmith.client import Client
from sightsmith.names import SnapshotName

snapshots_app = typer.Typer(
    help="What was labelled at one moment: list, take, compare, bring back.", no_args_is_help=True
)

NumberArgument = Annotated[int, typer.Argument(help="Number of the snapshot.", min=1)]
_KINDS = {
    ImageDifference.KIND_ADDED: "[green]added[/]",
    ImageDifference.KIND_REMOVED: "[red]removed[/]",
    ImageDifference.KIND_CHANGED: "[yellow]changed[/]",
}


@snapshots_app.command("list")
def list_command(project: ProjectArgument, as_json: JsonOption = False) -> None:
    """List the snapshots of a project, newest first."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        snapshots = list(client.snapshots.list(project))
    output.result({"snapshots": list_of(snapshots)}, _table(snapshots))


@snapshots_app.command("take")
def take_command(
    project: ProjectArgument,
    include_unlabelled: Annotated[bool, typer.Option(help="Take images without any label or box too.")] = False,
    seed: Annotated[int, typer.Option(help="Decides which images are set aside to test with.", min=0, max=MOST)] = 0,
    test_fraction: Annotated[
        float, typer.Option(help="Share of the images to test with, where the project has no test images.")
    ] = 0.2,
    as_json: JsonOption = False,
) -> None:
    """Take a snapshot of what is labelled now."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        snapshot = client.snapshots.take(project, test_fraction, seed, include_unlabelled)
    output.result(fields_of(snapshot), _table([snapshot]))


@snapshots_app.command("show")
def show_command(project: ProjectArgument, number: NumberArgument, as_json: JsonOption = False) -> None:
    """Show a snapshot, label by label."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        snapshot = client.snapshots.get(_name(project, number))
    labels = Table("label", "images to learn from", "to test with", "boxes to learn from", "to test with")
    for count in snapshot.label_counts:
        numbers = (count.train_image_count, count.test_image_count, count.train_box_count, count.test_box_count)
        labels.add_row(escape(count.label), *map(str, numbers))
    output.result(fields_of(snapshot), _table([snapshot]), labels)


@snapshots_app.command("diff")
def diff_command(
    project: ProjectArgument, base: NumberArgument, other: NumberArgument, as_json: JsonOption = False
) -> None:
    """Tell what is different between two snapshots, image by image."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        *parts, last = client.snapshots.diff(_name(project, base), _name(project, other))
    differences = [part.difference for part in parts]
    counts = last.counts
    summary = (
        f"{counts.added_image_count} added, {counts.removed_image_count} removed, {counts.changed_image_count} changed "
        f"({counts.moved_image_count} of them moved), {counts.unchanged_image_count} equal"
    )
    shown = (_differences_table(differences), summary) if differences else (summary,)
    output.result({"differences": list_of(differences), "counts": fields_of(counts)}, *shown)


@snapshots_app.command("restore")
def restore_command(
    project: ProjectArgument,
    number: NumberArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking, as in scripts.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring a project's datasets back to a snapshot."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        name = _name(project, number)
        if not dry_run and not yes:
            planned = client.snapshots.restore(name, validate_only=True)
            output.console.print(f"snapshot {number} would be restored: {_told(planned)}", highlight=False)
            typer.confirm("Do that?", abort=True, err=True)
        restored = client.snapshots.restore(name, validate_only=dry_run)
    verb = "would be" if dry_run else "is"
    output.result(fields_of(restored), f"snapshot {number} {verb} restored: {_told(restored)}")


def _name(project: str, number: int) -> str:
    return str(SnapshotName(project, str(number)))


def _table(snapshots: Iterable[Snapshot]) -> Table:
    table = Table("snapshot", "taken", "to learn from", "to test with", "labels", "boxes", "manifest")
    for snapshot in snapshots:
        boxes = sum(count.train_box_count + count.test_box_count for count in snapshot.label_counts)
        table.add_row(
            snapshot.name.rpartition("/")[2],
            f"{snapshot.create_time.ToDatetime():%Y-%m-%d %H:%M}",
            str(snapshot.train_image_count),
            str(snapshot.test_image_count),
            str(len(snapshot.label_counts)),
            str(boxes),
            snapshot.manifest_sha256[:12],
        )
    return table


def _differences_table(differences: Iterable[ImageDifference]) -> Table:
    table = Table("image", "", "difference")
    for found in differences:
        table.add_row(escape(found.source), _KINDS[found.kind], "\n".join(_changes(found)))
    return table


def _changes(found: ImageDifference) -> Iterable[str]:
    for sign, labels, boxes in (
        ("+", found.added_labels, found.added_boxes),
        ("-", found.removed_labels, found.removed_boxes),
    ):
        yield from (escape(f"{sign} {label}") for label in labels)
        yield from (escape(f"{sign} {_box_text(box)}") for box in boxes)
    if found.kind == ImageDifference.KIND_CHANGED and found.base_split != found.other_split:
        yield "moved to the test images" if found.other_split == SPLIT_TEST else "moved to the training images"


def _box_text(found: LabelledBox) -> str:
    box = found.box
    return f"{found.label} at {box.left:g}, {box.top:g}, {box.width:g} × {box.height:g}"


def _told(restored: RestoreSnapshotResponse) -> str:
    """What becomes, or has become, of the images."""
    counts = {
        "deleted images added again": restored.returned_image_count,
        "put back where they were": restored.moved_image_count,
        "with other labels or boxes": restored.changed_image_count,
        "that are not in the snapshot without labels and boxes": restored.cleared_image_count,
    }
    changed = [f"{count} {what}" for what, count in counts.items() if count]
    return ", ".join([*changed, f"{restored.unchanged_image_count} images as they are"])
