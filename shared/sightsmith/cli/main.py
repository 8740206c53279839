"""The program `sightsmith`."""

import importlib.metadata
import os
from pathlib import Path
from typing import Annotated

import typer

from sightsmith.cli.demo import demo_command
from sightsmith.cli.importing import import_command
from sightsmith.cli.serving import deploy_command, predict_command
from sightsmith.cli.training import cancel_command, evaluate_command, jobs_command, models_command, train_command
from sightsmith.cli.up import up_command

app = typer.Typer(
    help="Custom vision models on your own machines: label, train, evaluate, deploy, predict.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def common(
    data_dir: Annotated[
        Path | None, typer.Option(help="Data folder of the stack.", envvar="SIGHTSMITH_DATA_DIR")
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Options that every command has."""
    if version:
        typer.echo(importlib.metadata.version("sightsmith"))
        raise typer.Exit
    if data_dir is not None:
        os.environ["SIGHTSMITH_DATA_DIR"] = str(data_dir.absolute())


app.command("up")(up_command)
app.command("import")(import_command)
app.command("train")(train_command)
app.command("jobs")(jobs_command)
app.command("cancel")(cancel_command)
app.command("models")(models_command)
app.command("evaluate")(evaluate_command)
app.command("deploy")(deploy_command)
app.command("predict")(predict_command)
app.command("demo")(demo_command)
