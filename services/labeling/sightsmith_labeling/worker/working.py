"""The worker of the labeling service, put together.

It runs the jobs and whatever else is done in the background. Any number of them may run, on any number of machines.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from sightsmith.database import Database, migrate
from sightsmith.objects import Objects, open_object_store
from sightsmith.rpc.service_channel import service_channel
from sightsmith.service import run_beside
from sightsmith_labeling.embeddings.embedder import Embedder
from sightsmith_labeling.exports.exporting import ExportJobs
from sightsmith_labeling.exports.request import EXPORT_JOBS, export_key
from sightsmith_labeling.imports.fetcher import Fetcher, FetchLimits
from sightsmith_labeling.imports.importing import ImportJobs
from sightsmith_labeling.imports.sources import ImportSources
from sightsmith_labeling.imports.uploaded_files import uploaded_files
from sightsmith_labeling.intake import Intake, IntakeLimits
from sightsmith_labeling.jobs.running import JobKind
from sightsmith_labeling.jobs.upkeep import DiscardedFiles, ResultUpkeep
from sightsmith_labeling.jobs.worker import JobWorker, WorkerSettings
from sightsmith_labeling.measuring import Measuring
from sightsmith_labeling.quotas import Quotas
from sightsmith_labeling.review.upkeep import ReviewUpkeep
from sightsmith_labeling.settings import LabelingSettings
from sightsmith_labeling.suggestions.job import SuggestionJobs
from sightsmith_labeling.tables import MIGRATIONS, SCHEMA
from sightsmith_labeling.tally_folding import TallyFolding
from sightsmith_labeling.validation.request import VALIDATION_JOBS, validation_folder
from sightsmith_labeling.validation.validating import ValidationJobs


class BackgroundLoop(Protocol):
    """Something that is done again and again, beside the jobs."""

    async def run(self) -> None:
        """Works until cancelled; an error that leaves it ends the worker."""


def job_kinds(settings: LabelingSettings, database: Database, objects: Objects, intake: Intake) -> Sequence[JobKind]:
    """The kinds of jobs that the worker runs."""
    inference = service_channel(settings.inference_target, settings)
    places = settings.import_places
    files = uploaded_files(settings, database, objects)
    return (
        SuggestionJobs(database, objects, inference, settings.max_message_bytes),
        ImportJobs(database, ImportSources(settings, database, objects, files, places), intake, Quotas.of(settings)),
        ExportJobs(database, objects, settings.object_store_url),
        ValidationJobs(settings, database, objects, files, places),
    )


def background_loops(
    settings: LabelingSettings, database: Database, objects: Objects, intake: Intake
) -> Sequence[BackgroundLoop]:
    """What the worker does beside the jobs."""
    places = settings.import_places
    fetch_limits = FetchLimits(settings.fetch_concurrency, settings.fetch_timeout_seconds, settings.max_image_bytes + 1)
    return (
        Embedder(settings, database),
        ReviewUpkeep(database, settings.review_item_days),
        Fetcher(database, intake, places, fetch_limits),
        uploaded_files(settings, database, objects),
        ResultUpkeep(database, EXPORT_JOBS, lambda *ids: objects.delete(export_key(*ids)), settings.export_days),
        ResultUpkeep(
            database,
            VALIDATION_JOBS,
            lambda *ids: objects.delete_prefix(validation_folder(*ids)),
            settings.validation_days,
        ),
        # A worker whose job is gone with its project stops within the time of its lease.
        DiscardedFiles(database, objects, 2 * settings.job_lease_seconds),
        TallyFolding(database),
        Measuring(database, objects, intake),
    )


async def work(settings: LabelingSettings, stop: asyncio.Event) -> None:
    """Runs a worker until `stop` is set."""
    url = settings.database_url.get_secret_value()
    await asyncio.to_thread(migrate, url, SCHEMA, MIGRATIONS)
    database = Database(url)
    objects = Objects(open_object_store(settings.object_store_url))
    intake = Intake(objects, IntakeLimits.of(settings))
    jobs = JobWorker(database, job_kinds(settings, database, objects, intake), worker_settings(settings))
    loops = background_loops(settings, database, objects, intake)
    try:
        await run_beside(stop, jobs.run(), *(loop.run() for loop in loops))
    finally:
        intake.close()
        await database.close()


def worker_settings(settings: LabelingSettings) -> WorkerSettings:
    """How the settings say that jobs are worked on."""
    return WorkerSettings(
        concurrency=settings.job_concurrency,
        lease_seconds=settings.job_lease_seconds,
        heartbeat_seconds=settings.job_heartbeat_seconds,
        poll_seconds=settings.job_poll_seconds,
        max_attempts=settings.job_max_attempts,
        folder=settings.work_dir / "labeling",
    )
