"""Part `detection`: how good a detector of logos is, and how long its training takes."""

from pathlib import Path

from sightsmith.api.labeling.v1.import_job_pb2 import ImportJob
from sightsmith.api.training.v1.training_job_pb2 import TrainingJob
from sightsmith.client import Client
from sightsmith.client.transfers import require_success
from tests.perf.figures import Measured
from tests.perf.progress import tell
from tests.perf.workplace import PROJECT, running_stack, train


def measure(archive: Path) -> Measured:
    """Trains a detector with the effort `balanced`, and judges it by the test images.

    Args:
        archive: `logos.zip`.
    """
    with running_stack() as (_, client):
        _import(client, archive)
        snapshot = client.snapshots.take(PROJECT, include_unlabelled=True)
        model, seconds = train(client, snapshot, TrainingJob.EFFORT_BALANCED)
        found = client.evaluation(model.name).detection
        return {
            "training.logos_balanced_seconds": seconds,
            "training.logos_balanced_map50": found.map_50,
            "training.logos_balanced_map50_95": found.map_50_95,
        }


def _import(client: Client, archive: Path) -> None:
    tell("importing logos")
    project = client.ensure_project(PROJECT).name
    file = client.transfers.upload(project, archive)
    job = client.transfers.begin_import(project, ImportJob(uploaded_file=file.name))
    for change in client.transfers.watch_import(job.name):
        job = change
    require_success(job)
    if job.result.rejected_count:
        raise RuntimeError(f"{job.result.rejected_count} logos were rejected")
