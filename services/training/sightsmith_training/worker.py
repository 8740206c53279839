"""A training worker: `python -m sightsmith_training.worker`. Any number of them may run, on any number of machines."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from prometheus_client import Counter, Gauge

from sightsmith.database import Database, migrate
from sightsmith.errors import UnavailableError
from sightsmith.events.bus import EventBus
from sightsmith.events.facts import SUBJECT_PREFIX
from sightsmith.logs import get_logger
from sightsmith.objects import Objects, open_object_store
from sightsmith.service import run_beside, run_process
from sightsmith_training.backbone_publishing import BACKBONE_PREFIX, BackbonePublisher
from sightsmith_training.due_outputs import DueOutputs
from sightsmith_training.engine.contract import Answers, Failure, TrainingResult
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.rare_labels import leave_out_rare_labels
from sightsmith_training.engine.specification import DetectorLimits, TrainingSpec
from sightsmith_training.engine.tasks import decide_task
from sightsmith_training.evaluation_worker import EvaluationWorker
from sightsmith_training.job_worker import JobHeartbeat, JobWorker, ask
from sightsmith_training.jobs import JobProgress
from sightsmith_training.leases import JobLease, JobLeases, Lease, Leases
from sightsmith_training.leftovers import checkpoint_prefix
from sightsmith_training.publishing import Publisher
from sightsmith_training.report_outputs import ReportOutputs
from sightsmith_training.report_publishing import ReportPublishing
from sightsmith_training.settings import TrainingSettings
from sightsmith_training.snapshots import read_manifest
from sightsmith_training.tables import MIGRATIONS, SCHEMA, JobRow
from sightsmith_training.training_process import SpareProcess
from sightsmith_training.work_folders import clear_abandoned

_OUTPUT = "output"
_jobs = Counter("sightsmith_training_jobs_total", "Trainings that this worker ended, by outcome.", ["outcome"])
_busy = Gauge("sightsmith_training_worker_busy", "1 while the worker is at a training.")
_log = get_logger(__name__)


class Worker(JobWorker[Lease]):
    """Takes one training at a time, does it in a child process, and publishes the model."""

    def __init__(self, settings: TrainingSettings, database: Database) -> None:
        leases = Leases(database, settings.lease_seconds, settings.max_attempts)
        super().__init__(settings, leases, _jobs, _busy)
        self._training_leases = leases
        self._objects = Objects(open_object_store(settings.object_store_url))
        outputs = ReportOutputs(settings.output_places, settings.output_timeout_seconds)
        self._reports = ReportPublishing(self._objects, outputs, settings.report_images)
        self._due_outputs = DueOutputs(
            database, self._objects, outputs, settings.work_dir, settings.output_patience_seconds
        )
        self._publisher = Publisher(database, self._objects, leases, self._reports)
        self._processes = SpareProcess(settings.work_dir)

    async def prepare(self) -> None:
        """Has a process load its libraries for the next training, as soon as there is nothing else to do."""
        if not self._settings.spare_process:
            return
        try:
            await self._processes.prepare()
        except OSError:
            _log.warning("no process could be prepared", exc_info=True)  # The next training tells why it cannot begin.
        await self._reports.prepare()

    async def close(self) -> None:
        """Ends the process that waits."""
        await self._processes.close()

    async def write_due_outputs(self) -> None:
        """Writes result files that are due, also of other workers' trainings, until cancelled."""
        await self._due_outputs.run(self._settings.output_retry_seconds)

    async def carry_out(self, lease: Lease, folder: Path, beat: JobHeartbeat) -> Failure | None:
        """Trains and publishes a model."""
        spec = await beat.beside(self._specify(lease, folder / _OUTPUT))
        outcome = await beat.beside(self._run_engine(lease, spec, beat))
        if isinstance(outcome, Failure):
            report = await beat.beside(self._reports.publish_failure(lease.name, spec, outcome))
            await self._training_leases.record_report(lease, report)
            return outcome
        beat.progress = JobProgress(phase="publishing", percent=99, best_score=outcome.chosen.score_mean)
        await beat.beside(self._publisher.publish(lease, outcome, spec))
        self._due_outputs.look()
        return None

    async def _run_engine(self, lease: Lease, spec: TrainingSpec, beat: JobHeartbeat) -> TrainingResult | Failure:
        try:
            decision = decide_task(spec.entries, spec.options.task)
        except TrainingError as error:
            return error.failure
        left_out: Sequence[str] = ()
        if spec.options.leave_out_rare_labels:
            left_out = leave_out_rare_labels(spec.entries, decision, spec.min_images_per_label)[1].labels
        await self._training_leases.record_task(lease, decision.task, decision.reason, left_out)
        outcome = await ask(await self._processes.take(), spec, beat, self._settings.max_silence_seconds)
        assert not isinstance(outcome, Answers)  # noqa: S101 - it was asked for a training
        return outcome

    async def _specify(self, lease: Lease, output_dir: Path) -> TrainingSpec:
        return TrainingSpec(
            entries=await read_manifest(self._objects, lease.manifest_key, lease.manifest_sha256),
            object_store_url=self._settings.object_store_url,
            checkpoint_prefix=checkpoint_prefix(lease.name),
            backbone_prefix=BACKBONE_PREFIX,
            embedding_files=list(lease.embedding_files),
            output_dir=output_dir,
            seed=lease.seed,
            options=lease.options,
            spent_seconds=lease.seconds_before,
            min_images_per_label=self._settings.min_images_per_label,
            parity_tolerance=self._settings.parity_tolerance,
            threads=self._settings.training_threads,
            device=self._settings.training_device,
            ray_address=self._settings.ray_address,
            detector_limits=DetectorLimits(
                largest_side=self._settings.max_detector_side, decoded_bytes=self._settings.max_decoded_bytes
            ),
            image_limits=self._settings.image_limits,
        )


async def work(settings: TrainingSettings, stop: asyncio.Event) -> None:
    """Runs a worker until `stop` is set."""
    url = settings.database_url.get_secret_value()
    await asyncio.to_thread(migrate, url, SCHEMA, MIGRATIONS)
    database, bus = Database(url), EventBus(settings, "training worker")
    await _take_from_dead(settings, database)
    trainer, judge = Worker(settings, database), EvaluationWorker(settings, database)
    publisher = BackbonePublisher(settings, database, Objects(open_object_store(settings.object_store_url)))
    await run_beside(
        stop,
        bus.run(),
        trainer.run(),
        trainer.write_due_outputs(),
        judge.run(),
        _listen(bus, trainer, judge),
        _look_for_dead_workers(settings, database),
        publisher.run(),
    )
    await database.close()


async def _take_from_dead(settings: TrainingSettings, database: Database) -> None:
    """Puts the jobs of workers that died on this machine back into the queue."""
    leases = JobLeases[JobLease, JobRow](database, JobRow, settings.lease_seconds, settings.max_attempts)
    # Without the database, or a folder that can be read, the leases run out.
    with suppress(UnavailableError, OSError):
        await leases.take_from_dead_workers(await asyncio.to_thread(clear_abandoned, settings.work_dir))


async def _look_for_dead_workers(settings: TrainingSettings, database: Database) -> None:
    """Does so again and again: a worker that was killed may never be started again."""
    while True:
        await asyncio.sleep(settings.lease_seconds)
        await _take_from_dead(settings, database)


async def _listen(bus: EventBus, trainer: Worker, judge: EvaluationWorker) -> None:
    await bus.on_hint(f"{SUBJECT_PREFIX}.training_job.queued", trainer.wake)
    await bus.on_hint(f"{SUBJECT_PREFIX}.evaluation_job.queued", judge.wake)


def main() -> None:
    """Reads the settings and runs."""
    settings = TrainingSettings()
    run_process("training worker", settings, lambda stop: work(settings, stop))


if __name__ == "__main__":
    main()
