"""What several parts of the benchmark need: a stack of their own, and the main job on it."""

import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from sightsmith.api.inference.v1.deployment_pb2 import Deployment
from sightsmith.api.labeling.v1.snapshot_pb2 import Snapshot
from sightsmith.api.training.v1.model_pb2 import Model
from sightsmith.api.training.v1.training_job_pb2 import TrainingJob
from sightsmith.cli.importing import import_folder
from sightsmith.cli.output import Output
from sightsmith.cli.training import follow_training
from sightsmith.client import Client, Connection
from sightsmith.client.labelled_folder import read_labelled_folder
from sightsmith.names import ProjectName
from sightsmith.stack.endpoints import Endpoints
from sightsmith.stack.settings import StackSettings
from sightsmith.stack.stack import PARTS, Stack
from tests.perf.progress import tell

PROJECT = "bench"

# A busy machine should make figures worse, not the benchmark fail.
_START_TIMEOUT_SECONDS = 180
_EMBEDDING_SECONDS = 300


@contextmanager
def new_stack(parts: Collection[str] = PARTS) -> Iterator[Stack]:
    """A stack on free ports, not yet started, in a data folder that is removed at the end; a whole one by default."""
    # Not below a folder that only its owner may enter: PostgreSQL's system user has to reach it.
    folder = Path(tempfile.mkdtemp(prefix="sightsmith-bench-"))
    try:
        settings = StackSettings(data_dir=folder, free_ports=True, start_timeout_seconds=_START_TIMEOUT_SECONDS)
        yield Stack(settings, parts=parts)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_stack(parts: Collection[str] = PARTS) -> Iterator[tuple[Endpoints, Client]]:
    """A stack that has just been started for the first time, a whole one by default, and a client of it."""
    tell("starting a stack")
    with new_stack(parts) as stack, stack, Client(connection_of(stack.endpoints)) as client:
        yield stack.endpoints, client


def wait_for_embeddings(client: Client) -> None:
    """Waits until every image has its embedding, which also means that the backbone is ready.

    Raises:
        RuntimeError: if that takes too long.
    """
    tell("waiting for the embeddings")
    deadline = time.monotonic() + _EMBEDDING_SECONDS
    while True:
        progress = client.similarity.progress(str(ProjectName(PROJECT)))
        if progress.embedded_image_count == progress.image_count:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {progress.embedded_image_count} of {progress.image_count} images are embedded")
        time.sleep(0.5)


def import_photos(client: Client, photos: Path) -> int:
    """Imports labelled photographs, and returns how many.

    Raises:
        RuntimeError: if a photograph is rejected: the figures would be about other images than they claim.
    """
    tell("importing photographs")
    # Nothing is drawn meanwhile, because the import is timed.
    report = import_folder(client, PROJECT, read_labelled_folder(photos), Output(as_json=True))
    if report.rejected:
        raise RuntimeError(f"{len(report.rejected)} photographs were rejected; the first: {report.rejected[0]}")
    return report.created


def train(
    client: Client, snapshot: Snapshot, effort: TrainingJob.Effort.ValueType = TrainingJob.EFFORT_FAST
) -> tuple[Model, float]:
    """Trains a model and shows the progress on standard error.

    Returns:
        The model, and the seconds from the call until it could be deployed.
    """
    tell("training")
    begin = time.monotonic()
    job = client.train(PROJECT, snapshot.name, wishes=TrainingJob(effort=effort))
    job = follow_training(client, job, Output(as_json=False))
    return client.model(job.model), time.monotonic() - begin


def deploy(client: Client, deployment: str, model: Model, runtime: Deployment.Runtime.ValueType) -> None:
    """Deploys a model and waits until it answers."""
    tell(f"deploying as {deployment}")
    client.wait_for_deployment(client.deploy(PROJECT, deployment, model.name, runtime).name)


def connection_of(endpoints: Endpoints) -> Connection:
    """How a client reaches a stack."""
    # Not `Client.connect`: what the environment names may be another stack.
    token = SecretStr(endpoints.token_file.read_text().strip())
    return Connection(endpoints.labeling, endpoints.training, endpoints.inference, token)
