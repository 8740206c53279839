"""The training server: `python -m sightsmith_training`."""

import asyncio
from typing import Any

from sightsmith.api.training.v1 import (
    evaluation_service_pb2_grpc,
    model_service_pb2_grpc,
    report_service_pb2_grpc,
    retraining_service_pb2_grpc,
    training_service_pb2_grpc,
)
from sightsmith.database import Database, migrate
from sightsmith.errors import UnavailableError
from sightsmith.events.bus import EventBus
from sightsmith.events.consumer import EventConsumer
from sightsmith.events.outbox import OutboxRelay
from sightsmith.logs import get_logger
from sightsmith.objects import Objects, open_object_store
from sightsmith.rpc.server import RpcServer
from sightsmith.rpc.service_channel import service_channel
from sightsmith.service import run_beside, run_process
from sightsmith_training.discarded_files import DiscardedFiles
from sightsmith_training.evaluated_image_drawing import EvaluatedImageDrawing
from sightsmith_training.evaluation_jobs import EvaluationJobs
from sightsmith_training.evaluation_servicer import EvaluationServicer
from sightsmith_training.evaluations.service import Evaluations
from sightsmith_training.jobs import TrainingJobs
from sightsmith_training.leases import EvaluationLeases, JobLeases, Leases
from sightsmith_training.model_card import ModelCards
from sightsmith_training.model_copying import ModelCopying
from sightsmith_training.model_deleting import ModelDeleting
from sightsmith_training.model_details import ModelDetails
from sightsmith_training.model_files import ModelFiles
from sightsmith_training.model_servicer import ModelParts, ModelServicer
from sightsmith_training.models import Models
from sightsmith_training.report_servicer import ReportServicer
from sightsmith_training.retraining.retrainings import CONSUMER, SUBJECT, Retrainings, on_review_item_settled
from sightsmith_training.retraining.servicer import RetrainingServicer
from sightsmith_training.retraining.work import RetrainingWork
from sightsmith_training.settings import TrainingSettings
from sightsmith_training.snapshots import Snapshots
from sightsmith_training.tables import MIGRATIONS, SCHEMA, HandledEventRow, Outbox
from sightsmith_training.training_servicer import TrainingServicer

_log = get_logger(__name__)


async def serve(settings: TrainingSettings, stop: asyncio.Event) -> None:
    """Runs the server until `stop` is set."""
    url = settings.database_url.get_secret_value()
    await asyncio.to_thread(migrate, url, SCHEMA, MIGRATIONS)
    database, bus = Database(url), EventBus(settings, "training")
    leases = [kind(database, settings.lease_seconds, settings.max_attempts) for kind in (Leases, EvaluationLeases)]
    async with (
        service_channel(settings.labeling_target, settings) as labeling,
        service_channel(settings.inference_target, settings) as inference,
    ):
        server = RpcServer(settings)
        snapshots = Snapshots(labeling, settings.min_images_per_label)
        jobs = TrainingJobs(database, settings.watch_interval_seconds)
        objects = Objects(open_object_store(settings.object_store_url))
        models, discarded = Models(database), DiscardedFiles(database, objects, settings.late_files_seconds)
        parts = ModelParts(
            models=models,
            details=ModelDetails(database, settings),
            copying=ModelCopying(database, objects, discarded, labeling),
            deleting=ModelDeleting(database, discarded, inference),
            files=ModelFiles(models, jobs, objects),
            cards=ModelCards(models, labeling),
            evaluations=Evaluations(database),
        )
        server.add(
            training_service_pb2_grpc.add_TrainingServiceServicer_to_server,
            TrainingServicer(jobs, snapshots, settings),
            "sightsmith.api.training.v1.TrainingService",
        )
        server.add(
            model_service_pb2_grpc.add_ModelServiceServicer_to_server,
            ModelServicer(parts),
            "sightsmith.api.training.v1.ModelService",
        )
        server.add(
            evaluation_service_pb2_grpc.add_EvaluationServiceServicer_to_server,
            EvaluationServicer(
                EvaluationJobs(database, settings.watch_interval_seconds),
                models,
                parts.evaluations,
                snapshots,
                settings,
            ),
            "sightsmith.api.training.v1.EvaluationService",
        )
        server.add(
            report_service_pb2_grpc.add_ReportServiceServicer_to_server,
            ReportServicer(parts.files, EvaluatedImageDrawing(database, objects, labeling, settings.image_limits)),
            "sightsmith.api.training.v1.ReportService",
        )
        retrainings = Retrainings(database)
        work = RetrainingWork(retrainings, snapshots, jobs, parts.evaluations, labeling, inference)
        server.add(
            retraining_service_pb2_grpc.add_RetrainingServiceServicer_to_server,
            RetrainingServicer(retrainings, work),
            "sightsmith.api.training.v1.RetrainingService",
        )
        await server.start()
        await run_beside(
            stop,
            bus.run(),
            OutboxRelay(database, Outbox, bus).run(),
            *(_look_for_lost_workers(kind, settings.poll_seconds) for kind in leases),
            discarded.run(settings.discard_seconds),
            EventConsumer(bus, database, HandledEventRow, CONSUMER, SUBJECT, on_review_item_settled).run(),
            work.run(settings.poll_seconds),
        )
        await server.stop()
    await database.close()


async def _look_for_lost_workers(leases: JobLeases[Any, Any], every_seconds: float) -> None:
    while True:
        try:
            if count := await leases.take_from_lost_workers():
                _log.warning("took jobs from lost workers", count=count)
        except UnavailableError:
            _log.warning("cannot look for lost workers: the database is out of reach")
        await asyncio.sleep(every_seconds)


def main() -> None:
    """Reads the settings and runs."""
    settings = TrainingSettings()
    run_process("training", settings, lambda stop: serve(settings, stop))


if __name__ == "__main__":
    main()
