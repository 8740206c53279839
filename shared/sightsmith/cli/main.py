"""The program `sightsmith`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from sightsmith.cli.lazy_commands import Lazy, add_commands

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
        import importlib.metadata

        typer.echo(importlib.metadata.version("sightsmith"))
        raise typer.Exit
    if data_dir is not None:
        os.environ["SIGHTSMITH_DATA_DIR"] = str(data_dir.absolute())


# What the lists of commands say of each is the first paragraph of its own help.
COMMANDS = {
    "up": Lazy(
        "up:up_command",
        "Start the whole stack in the foreground and say where everything listens; Ctrl-C stops it.",
    ),
    "projects": Lazy("datasets:projects_command", "List all projects."),
    "datasets": Lazy("datasets:datasets_command", "List the datasets of a project with their counts."),
    "images": Lazy("datasets:images_command", "List the images of a dataset."),
    "describe": Lazy(
        "annotating:describe_command",
        "Create a project if it is not there, and set its display name and tags.",
    ),
    "annotations": Lazy("annotating:annotations_command", "List what is annotated on an image, with who did it."),
    "annotate": Lazy("annotating:annotate_command", "Put a label on an image, or on a box in it."),
    "unannotate": Lazy("annotating:unannotate_command", "Take annotations off an image."),
    "move": Lazy("annotating:move_command", "Move images to the project's other dataset."),
    "create-dataset": Lazy(
        "annotating:create_dataset_command",
        "Create a dataset without any image; imports make those that they need.",
    ),
    "download": Lazy("annotating:download_command", "Write images to files."),
    "labels": Lazy("labels:labels_app", "List, create, rename, merge and delete the labels of a project."),
    "history": Lazy("history:history_command", "Show who did what to a project, newest first."),
    "delete": Lazy("datasets:delete_command", "Delete a project, one of its datasets, or images of a dataset."),
    "import": Lazy("importing:import_command", "Import images and annotations."),
    "tasks": Lazy(
        "tasks:tasks_command",
        "List the imports, exports, validations and suggestions of a project, or stop one.",
    ),
    "imports": Lazy("import_jobs:imports_command", "List the imports of a project, or show, save or stop one."),
    "export": Lazy(
        "exporting:export_command",
        "Write a project's images and annotations to an archive in the format of another tool.",
    ),
    "snapshots": Lazy("snapshots:snapshots_app", "What was labelled at one moment: list, take, compare, bring back."),
    "validate": Lazy(
        "validation:validate_command",
        "Tell what is wrong with the data or left out, and what may spoil the model. Nothing is changed.",
    ),
    "split": Lazy(
        "validation:split_command",
        "Move labelled images to the dataset for testing, label by label; images that look the same stay together.",
    ),
    "train": Lazy(
        "training:train_command", "Take a snapshot of a project, unless one says the same, and train a model from it."
    ),
    "retrain": Lazy(
        "retraining:retrain_command",
        "Train a deployment's model anew on what is labelled by now, corrections included, and propose the new one.",
    ),
    "jobs": Lazy("jobs:jobs_app", "List the trainings of a project with how far they are, and watch one again."),
    "cancel": Lazy("training:cancel_command", "Stop a training."),
    "models": Lazy(
        "models:models_app",
        "List, describe, tag, copy, download, export and delete the models of a project.",
    ),
    "evaluate": Lazy(
        "evaluating:evaluate_command",
        "Show how good a model is, label by label, and its most confident mistakes.",
    ),
    "deploy": Lazy(
        "serving:deploy_command",
        "Put a model into service, or another one behind the same name without a gap.",
    ),
    "deployments": Lazy(
        "deployments:deployments_app",
        "Share the traffic of deployments among model versions, roll back, scale, stop and start.",
    ),
    "predict": Lazy("serving:predict_command", "Ask a deployed model what is in images, or in the frames of a video."),
    "batch": Lazy("batches:batch_app", "Predictions for any number of stored images, as jobs."),
    "embeddings": Lazy("similarity:embeddings_command", "Tell how many images can be found by what they look like."),
    "similar": Lazy("similarity:similar_command", "Find the images that look most like a picture."),
    "duplicates": Lazy(
        "similarity:duplicates_command",
        "List pairs of images that are nearly the same, also those of which one is for training and one for testing.",
    ),
    "label-like": Lazy(
        "similarity:label_like_command",
        "Put the labels of an image on others: those named, or all unlabelled ones that look enough like it.",
    ),
    "label-next": Lazy(
        "similarity:label_next_command",
        "List the unlabelled images from which most is learned, in the order in which to label them.",
    ),
    "suggest": Lazy("suggestions:suggest_command", "Have a deployed model propose labels for images that have none."),
    "suggestions": Lazy(
        "suggestions:suggestions_app",
        "Look at what models propose, and accept, reject or correct it.",
    ),
    "review": Lazy("reviews:review_app", "Look at predictions, and say what is really in the images."),
    "demo": Lazy(
        "demo:demo_command",
        "Run the main job on real photos: import, train, evaluate, deploy, predict. Takes a few minutes.",
    ),
}
add_commands(app, COMMANDS)
