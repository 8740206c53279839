"""How far trainings are, as people see it."""

from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from sightsmith.api.training.v1.training_job_pb2 import TrainingJob, TrainingProgress
from sightsmith.cli.output import Output
from sightsmith.cli.progress import time_left
from sightsmith.client import Client
from sightsmith.client.trainings import succeeded
from sightsmith.names import TrainingJobName

_PHASES = {
    TrainingProgress.PHASE_READING: "reading images",
    TrainingProgress.PHASE_EMBEDDING: "computing features",
    TrainingProgress.PHASE_SEARCHING: "comparing candidates",
    TrainingProgress.PHASE_FITTING: "fitting the best",
    TrainingProgress.PHASE_EVALUATING: "evaluating",
    TrainingProgress.PHASE_EXPORTING: "exporting",
    TrainingProgress.PHASE_CHECKING: "checking the exports",
    TrainingProgress.PHASE_PUBLISHING: "publishing",
}
_WAITING = "waiting for a worker"


def follow_training(client: Client, job: TrainingJob, output: Output) -> TrainingJob:
    """Shows a training's progress up to its end.

    Raises:
        SightsmithError: the training's own error, if it failed or was cancelled.
    """
    with output.progress() as progress:
        task = progress.add_task(_WAITING, total=100, note="", left=None)
        progress.update(task, **_shown(job))
        for change in client.watch(job.name, job.revision):
            job = change
            progress.update(task, **_shown(job))
    if job.report_files:
        name = TrainingJobName.parse(job.name)
        told = f"sightsmith models report {name.project} --training {name.training_job}"
        output.console.print(f"What is wrong with which image: {told}", soft_wrap=True)
    return succeeded(job)


def how_to_go_on(job: TrainingJob) -> str:
    """What somebody may do who stops looking at a training."""
    name = TrainingJobName.parse(job.name)
    which = f"{name.project} {name.training_job}"
    return f"The training goes on. To watch it: sightsmith jobs watch {which}. To stop it: sightsmith cancel {which}"


def state_of(job: TrainingJob) -> str:
    """Such as `running`."""
    return TrainingJob.State.Name(job.state).removeprefix("STATE_").lower()


def jobs_table(project: str, jobs: Sequence[TrainingJob]) -> Table:
    """A row a training, with what it does or what became of it."""
    table = Table(title=project, title_justify="left")
    for heading in ("training", "state", "done", "best", "left", "now"):
        table.add_column(heading, overflow="fold")
    for job in jobs:
        progress = job.progress
        best = f"{progress.best_score:.3f}" if progress.HasField("best_score") else ""
        cells = (state_of(job), f"{_percent(job):.0f} %", best, time_left(_seconds_left(job)), escape(_now(job)))
        table.add_row(job.name.rpartition("/")[2], *cells)
    return table


def _now(job: TrainingJob) -> str:
    """What a training does, or what became of it."""
    if job.model or job.HasField("error"):
        return job.model.rpartition("/")[2] or job.error.message
    return ": ".join(filter(None, (_doing(job), job.progress.activity))) if _is_running(job) else job.progress.activity


def _shown(job: TrainingJob) -> dict[str, Any]:
    """How a progress bar shows a training."""
    progress = job.progress
    score = f"best {progress.best_score:.3f}" if progress.HasField("best_score") else ""
    activity = progress.activity if _is_running(job) else ""
    note = ", ".join(filter(None, (activity, score)))
    return {"description": _doing(job), "completed": _percent(job), "note": note, "left": _seconds_left(job)}


def _doing(job: TrainingJob) -> str:
    if job.state == TrainingJob.STATE_QUEUED:
        return job.progress.activity or _WAITING
    if not job.HasField("progress"):
        return _WAITING
    return _PHASES.get(job.progress.phase, "training")


def _is_running(job: TrainingJob) -> bool:
    return job.state in (TrainingJob.STATE_RUNNING, TrainingJob.STATE_CANCELLING)


def _percent(job: TrainingJob) -> float:
    return 100 if job.state == TrainingJob.STATE_SUCCEEDED else job.progress.percent


def _seconds_left(job: TrainingJob) -> float | None:
    if not (_is_running(job) and job.progress.HasField("remaining")):
        return None
    return job.progress.remaining.ToTimedelta().total_seconds()
