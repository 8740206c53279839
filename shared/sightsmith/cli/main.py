"""The program `sightsmith`."""

import importlib.metadata
import os
from pathlib import Path
from typing import Annotated

import typer

from sightsmith.cli.annotating import (
    annotate_command,
    annotations_command,
    create_dataset_command,
    describe_command,
    download_command,
    move_command,
    unannotate_command,
)
from sightsmith.cli.batches import batch_app
from sightsmith.cli.datasets import (
    datasets_command,
    delete_command,
    images_command,
    projects_command,
)
from sightsmith.cli.demo import demo_command
from sightsmith.cli.evaluations import compare_command, evaluation_command, mistakes_command, thresholds_command
from sightsmith.cli.exporting import export_command
from sightsmith.cli.fetching import fetch_command, weights_command
from sightsmith.cli.history import history_command
from sightsmith.cli.import_jobs import imports_command
from sightsmith.cli.importing import import_command
from sightsmith.cli.judging import cancel_command as cancel_evaluation_command
from sightsmith.cli.judging import delete_command as delete_evaluation_command
from sightsmith.cli.judging import evaluate_command as judge_command
from sightsmith.cli.judging import evaluations_command
from sightsmith.cli.labels import labels_app
from sightsmith.cli.models import models_app
from sightsmith.cli.reports import report_command
from sightsmith.cli.reviews import review_app
from sightsmith.cli.serving import deploy_command, predict_command
from sightsmith.cli.similarity import (
    duplicates_command,
    embeddings_command,
    label_like_command,
    label_next_command,
    similar_command,
)
from sightsmith.cli.snapshots import snapshots_app
from sightsmith.cli.suggestions import suggest_command, suggestions_app
from sightsmith.cli.tasks import tasks_command
from sightsmith.cli.training import cancel_command, evaluate_command, jobs_command, train_command
from sightsmith.cli.up import up_command
from sightsmith.cli.validation import split_command, validate_command

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
app.command("projects")(projects_command)
app.command("datasets")(datasets_command)
app.command("images")(images_command)
app.command("describe")(describe_command)
app.command("annotations")(annotations_command)
app.command("annotate")(annotate_command)
app.command("unannotate")(unannotate_command)
app.command("move")(move_command)
app.command("create-dataset")(create_dataset_command)
app.command("download")(download_command)
app.add_typer(labels_app, name="labels")
app.command("history")(history_command)
app.command("delete")(delete_command)
app.command("import")(import_command)
app.command("tasks")(tasks_command)
app.command("imports")(imports_command)
app.command("export")(export_command)
app.add_typer(snapshots_app, name="snapshots")
app.command("validate")(validate_command)
app.command("split")(split_command)
app.command("train")(train_command)
app.command("jobs")(jobs_command)
app.command("cancel")(cancel_command)
models_app.command("fetch")(fetch_command)
models_app.command("weights")(weights_command)
models_app.command("report")(report_command)
models_app.command("evaluation")(evaluation_command)
models_app.command("evaluate")(judge_command)
models_app.command("evaluations")(evaluations_command)
models_app.command("cancel-evaluation")(cancel_evaluation_command)
models_app.command("delete-evaluation")(delete_evaluation_command)
models_app.command("mistakes")(mistakes_command)
models_app.command("compare")(compare_command)
models_app.command("thresholds")(thresholds_command)
app.add_typer(models_app, name="models")
app.command("evaluate")(evaluate_command)
app.command("deploy")(deploy_command)
app.command("predict")(predict_command)
app.add_typer(batch_app, name="batch")
app.command("embeddings")(embeddings_command)
app.command("similar")(similar_command)
app.command("duplicates")(duplicates_command)
app.command("label-like")(label_like_command)
app.command("label-next")(label_next_command)
app.command("suggest")(suggest_command)
app.add_typer(suggestions_app, name="suggestions")
app.add_typer(review_app, name="review")
app.command("demo")(demo_command)
