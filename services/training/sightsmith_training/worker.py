"""A training worker: `python -m sightsmith_training.worker`. Any number of them may run, on any number of machines."""

import asyncio
import shutil
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from prometheus_client import Counter, Gauge

from sightsmith.database import Database, migrate
from sightsmith.errors import SightsmithError, UnavailableError
from sightsmith.events.bus import EventBus
from sightsmith.events.facts import SUBJECT_PREFIX
from sightsmith.images import ImageLimits
from sightsmith.logs import get_logger
from sightsmith.objects import Objects, open_object_store
from sightsmith.service import run_beside, run_process
from sightsmith_training.backbone_publishing import BACKBONE_PREFIX, BackbonePublisher
from sightsmith_training.engine.contract import DetectorLimits, Failure, Progress, TrainingResult, TrainingSpec
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.tasks import decide_task
from sightsmith_training.jobs import JobError, JobProgress
from sightsmith_training.leases import Lease, LeaseLostError, Leases
from sightsmith_training.publishing import Publisher
from sightsmith_training.report_outputs import ReportOutputs
from sightsmith_training.report_publishing import ReportPublishing
from sightsmith_training.settings import TrainingSettings
from sightsmith_training.snapshots import read_manifest
from sightsmith_training.tables import MIGRATIONS, SCHEMA
from sightsmith_training.training_process import SpareProcess, TrainingProcessKilledError

Result = TypeVar("Result")

_OUTPUT = "output"
_NAMED_VIOLATIONS = 100
_jobs = Counter("sightsmith_training_jobs_total", "Trainings that this worker ended, by outcome.", ["outcome"])
_busy = Gauge("sightsmith_training_worker_busy", "1 while the worker is at a training.")
_log = get_logger(__name__)


class CancelledByUserError(Exception):
    """The job was asked to stop."""


class Worker:
    """Takes one job at a time, trains it in a child process, and publishes the model."""

    def __init__(self, settings: TrainingSettings, database: Database) -> None:
        self._settings = settings
        self._objects = Objects(open_object_store(settings.object_store_url))
        self._leases = Leases(database, settings.lease_seconds, settings.max_attempts)
        outputs = ReportOutputs(settings.output_places, settings.output_timeout_seconds)
        self._reports = ReportPublishing(self._objects, outputs, settings.report_images)
        self._publisher = Publisher(database, self._objects, self._leases, self._reports)
        self._processes = SpareProcess(settings.work_dir)
        self._hint = asyncio.Event()

    def wake(self) -> None:
        """Says that there may be a job."""
        self._hint.set()

    async def run(self) -> None:
        """Works until cancelled; a job in hand is then given back for others to go on with."""
        try:
            await self._work()
        finally:
            await asyncio.shield(self._processes.close())

    async def _work(self) -> None:
        while True:
            try:
                self._hint.clear()
                lease = await self._leases.claim()
            except UnavailableError:
                lease = None
            if lease is not None:
                with _busy.track_inprogress():
                    await self._work_on(lease)
                await self._prepare()
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hint.wait(), self._settings.poll_seconds)
                continue
            await self._prepare()

    async def _prepare(self) -> None:
        """Has a process load its libraries for the next training, as soon as there is nothing else to do."""
        if self._settings.spare_process:
            await self._processes.prepare()
            await self._reports.prepare()

    async def _work_on(self, lease: Lease) -> None:
        log = _log.bind(training_job=str(lease.name), attempt=lease.attempt)
        log.info("training begins")
        # The token keeps it apart from the folder of a worker that was taken for dead and still tidies up.
        folder = self._settings.work_dir / f"{lease.name.training_job}-{lease.token.hex[:8]}"
        try:
            outcome = await self._train(lease, folder)
        except LeaseLostError:
            outcome = "lease lost"
        except asyncio.CancelledError:
            with suppress(LeaseLostError, UnavailableError):
                await asyncio.shield(self._leases.give_back(lease))
            raise
        except (UnavailableError, OSError, TrainingProcessKilledError):
            # What is out of reach comes back, and a killed process is no answer: when the lease runs out, the job is
            # tried again.
            log.warning("training broke off", exc_info=True)
            outcome = "broken off"
        except Exception:
            log.exception("the worker failed")
            outcome = await self._fail_unexpectedly(lease)
        else:
            with suppress(UnavailableError):
                await self._objects.delete_prefix(_checkpoints(lease))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        _jobs.labels(outcome).inc()
        log.info("training ended", outcome=outcome)

    async def _fail_unexpectedly(self, lease: Lease) -> str:
        message = "the worker failed unexpectedly; its log tells more"
        with suppress(LeaseLostError, UnavailableError):
            await self._leases.fail(lease, JobError(reason="INTERNAL", message=message))
        return "failed"

    async def _train(self, lease: Lease, folder: Path) -> str:
        """Carries a job out to its end and tells which end that was."""
        _make_empty(folder)
        beat = _Heartbeat(self._leases, lease, self._settings)
        try:
            spec = await beat.beside(self._specify(lease, folder / _OUTPUT))
            outcome = await beat.beside(self._run_engine(lease, spec, beat))
            if isinstance(outcome, Failure):
                if outcome.reason == "DEPENDENCY_UNAVAILABLE":
                    raise UnavailableError(outcome.message)
                report = await beat.beside(self._reports.publish_failure(lease.name, spec, outcome))
                await self._leases.fail(lease, _error_of(outcome), report)
                return "failed"
            beat.progress = JobProgress(phase="publishing", percent=99, best_score=outcome.chosen.score_mean)
            await beat.beside(self._publisher.publish(lease, outcome, spec))
        except CancelledByUserError:
            await self._leases.confirm_cancelled(lease)
            return "cancelled"
        except UnavailableError:
            raise
        except SightsmithError as error:
            await self._leases.fail(lease, JobError(reason="TRAINING_FAILED", message=error.message))
            return "failed"
        return "succeeded"

    async def _run_engine(self, lease: Lease, spec: TrainingSpec, beat: "_Heartbeat") -> TrainingResult | Failure:
        try:
            decision = decide_task(spec.entries, spec.options.task)
        except TrainingError as error:
            return error.failure
        await self._leases.record_task(lease, decision.task, decision.reason)
        process = await self._processes.take()
        try:
            process.begin(spec)
            async for message in process.messages():
                if not isinstance(message, Progress):
                    return message
                beat.progress = JobProgress.model_validate(message.model_dump(exclude={"kind"}))
        finally:
            await process.close()
        raise AssertionError("messages() ends with a result or a failure")

    async def _specify(self, lease: Lease, output_dir: Path) -> TrainingSpec:
        return TrainingSpec(
            entries=await read_manifest(self._objects, lease.manifest_key, lease.manifest_sha256),
            object_store_url=self._settings.object_store_url,
            checkpoint_prefix=_checkpoints(lease),
            backbone_prefix=BACKBONE_PREFIX,
            embedding_files=list(lease.embedding_files),
            output_dir=output_dir,
            seed=lease.seed,
            options=lease.options,
            min_images_per_label=self._settings.min_images_per_label,
            parity_tolerance=self._settings.parity_tolerance,
            threads=self._settings.training_threads,
            device=self._settings.training_device,
            ray_address=self._settings.ray_address,
            detector_limits=DetectorLimits(
                largest_side=self._settings.max_detector_side, decoded_bytes=self._settings.max_decoded_bytes
            ),
            image_limits=ImageLimits(
                max_bytes=self._settings.max_image_bytes,
                max_pixels=self._settings.max_image_pixels,
                min_side=self._settings.min_image_side,
            ),
        )


class _Heartbeat:
    """Keeps a lease while work is done, and ends the work when it is to be cancelled or the lease is lost."""

    def __init__(self, leases: Leases, lease: Lease, settings: TrainingSettings) -> None:
        self._leases = leases
        self._lease = lease
        self._interval = settings.heartbeat_seconds
        self._patience = settings.lease_seconds
        self._told: JobProgress | None = None
        self.progress: JobProgress | None = None

    async def beside(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Runs work with a beating heart beside it.

        Raises:
            CancelledByUserError: if the job is to be cancelled.
            LeaseLostError: if it is not ours any more.
        """
        working, beating = asyncio.ensure_future(work), asyncio.ensure_future(self._beat())
        try:
            await asyncio.wait([working, beating], return_when=asyncio.FIRST_COMPLETED)
            return await (working if working.done() else beating)
        finally:
            for task in (working, beating):
                task.cancel()
            await asyncio.gather(working, beating, return_exceptions=True)

    async def _beat(self) -> NoReturn:
        last_success = time.monotonic()
        while True:
            try:
                await self._tell()
                last_success = time.monotonic()
            except UnavailableError:
                if time.monotonic() - last_success > self._patience:
                    raise LeaseLostError(str(self._lease.name)) from None
            await asyncio.sleep(self._interval)

    async def _tell(self) -> None:
        news = self.progress if self.progress != self._told else None
        if await self._leases.heartbeat(self._lease, news):
            raise CancelledByUserError
        self._told = news or self._told


def _make_empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / _OUTPUT).mkdir(parents=True)


def _checkpoints(lease: Lease) -> str:
    return f"checkpoints/{lease.name.project}/{lease.name.training_job}"


def _error_of(failure: Failure) -> JobError:
    # The files that tell what is wrong with the data name them all.
    violations = [(violation.field, violation.description) for violation in failure.violations[:_NAMED_VIOLATIONS]]
    return JobError(reason=failure.reason, message=failure.message, metadata=failure.metadata, violations=violations)


async def work(settings: TrainingSettings, stop: asyncio.Event) -> None:
    """Runs a worker until `stop` is set."""
    url = settings.database_url.get_secret_value()
    await asyncio.to_thread(migrate, url, SCHEMA, MIGRATIONS)
    database, bus = Database(url), EventBus(settings, "training worker")
    worker = Worker(settings, database)
    publisher = BackbonePublisher(settings, database, Objects(open_object_store(settings.object_store_url)))
    await run_beside(stop, bus.run(), worker.run(), _listen(bus, worker), publisher.run())
    await database.close()


async def _listen(bus: EventBus, worker: Worker) -> None:
    await bus.on_hint(f"{SUBJECT_PREFIX}.training_job.queued", worker.wake)


def main() -> None:
    """Reads the settings and runs."""
    settings = TrainingSettings()
    run_process("training worker", settings, lambda stop: work(settings, stop))


if __name__ == "__main__":
    main()
