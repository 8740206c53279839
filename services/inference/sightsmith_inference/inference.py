"""The inference service: what it is made of, and how it starts and stops."""

import asyncio

from sightsmith.api.inference.v1 import (
    deployment_service_pb2,
    deployment_service_pb2_grpc,
    embedding_service_pb2,
    embedding_service_pb2_grpc,
    prediction_service_pb2,
    prediction_service_pb2_grpc,
)
from sightsmith.database import Database, migrate
from sightsmith.events.bus import EventBus
from sightsmith.events.consumer import EventConsumer
from sightsmith.events.outbox import OutboxRelay
from sightsmith.objects import Objects, open_object_store
from sightsmith.rpc.server import RpcServer
from sightsmith.rpc.service_channel import service_channel
from sightsmith.service import run_beside
from sightsmith_inference.backbones import Backbones
from sightsmith_inference.batches.service import BatchPredictions
from sightsmith_inference.decoding import Decoder
from sightsmith_inference.deleted_models import DeletedModels, on_model_deleted
from sightsmith_inference.deployment_servicer import DeploymentServicer
from sightsmith_inference.deployments import Deployments
from sightsmith_inference.drift_references import DriftReferences
from sightsmith_inference.drifting import Drifting
from sightsmith_inference.embedder import Embedder
from sightsmith_inference.embedding_servicer import EmbeddingServicer
from sightsmith_inference.image_check import ImageCheck
from sightsmith_inference.known_models import KnownModels
from sightsmith_inference.lease import Lease
from sightsmith_inference.models import Models
from sightsmith_inference.placements import Placements
from sightsmith_inference.prediction_servicer import PredictionServicer
from sightsmith_inference.predictor import Predictor
from sightsmith_inference.proposals import Proposals
from sightsmith_inference.reconciler import Reconciler
from sightsmith_inference.recorded_answers import RecordedAnswers
from sightsmith_inference.references import References
from sightsmith_inference.room import Room
from sightsmith_inference.routes import Routes
from sightsmith_inference.sampling import Sampler
from sightsmith_inference.scaler import Scaler
from sightsmith_inference.settings import InferenceSettings
from sightsmith_inference.shadowing import Shadowing
from sightsmith_inference.staging import Staging
from sightsmith_inference.staging_ahead import StagingAhead, on_model_created
from sightsmith_inference.streaming import PredictionStreams
from sightsmith_inference.tables import MIGRATIONS, SCHEMA, HandledEventRow, OutboxRow
from sightsmith_inference.thresholds import Thresholds
from sightsmith_inference.trained_models import TrainedModels
from sightsmith_inference.triton import ModelRunner
from sightsmith_inference.triton_repository import TritonRepository
from sightsmith_inference.tritons import Tritons
from sightsmith_inference.waking import Waking

_BACKBONE_PUBLISHED = "sightsmith.events.backbone.published"
_MODEL_CREATED = "sightsmith.events.model.created"
_MODEL_DELETED = "sightsmith.events.model.deleted"


class Inference:
    """The parts of the service, put together."""

    def __init__(self, settings: InferenceSettings) -> None:
        """Puts the parts together; nothing is connected yet."""
        self._settings = settings
        self._database = Database(settings.database_url.get_secret_value())
        self._bus = EventBus(settings, "inference")
        self._training = service_channel(settings.training_target, settings)
        self._labeling = service_channel(settings.labeling_target, settings)
        self._triton = Tritons(settings.triton_servers)
        objects = Objects(open_object_store(settings.object_store_url))
        self._repository = TritonRepository(settings.triton_repository, objects)
        self._sampler = Sampler(self._database, objects, settings.max_sampled_bytes_waiting, settings.sample_keep_days)
        self._models = Models(self._database)
        self._deployments = Deployments(self._database)
        self._routes = Routes(self._deployments)
        self._labeling = service_channel(settings.labeling_target, settings)
        self._references = References(objects, self._labeling, settings.prediction_places_of, settings.max_image_bytes)
        self._trained_models = TrainedModels(self._training)
        self._staging = Staging(self._trained_models, self._repository, self._models)
        self._decoder = Decoder(settings.image_limits, settings.decode_threads)
        recorded = RecordedAnswers(self._database, self._training, self._labeling, settings.check_images)
        placements = Placements(settings, self._deployments, self._models, self._repository, self._triton, self._routes)
        self._reconciler = Reconciler(
            settings,
            Lease(self._database, "deployments", settings.lease_seconds),
            self._deployments,
            self._staging,
            self._triton,
            placements,
            Scaler(settings, self._deployments, placements, self._triton),
            ImageCheck(recorded, objects, self._decoder, self._triton),
            self._routes,
        )
        self._waking = Waking(self._routes, self._deployments, self._changed, settings.warm_up_wait_seconds)
        self._room = Room(settings.max_images_in_flight, settings.max_bytes_in_flight)
        self._backbones = Backbones(settings, objects, self._repository, self._triton)
        self._shadowing = Shadowing(
            settings, self._deployments, self._routes, self._room, self._decoder, self._triton, self._sampler
        )
        self._embedder = Embedder(settings, self._backbones, objects, self._room, self._decoder, self._triton)
        references = DriftReferences(settings, objects, self._training, self._labeling)
        self._drifting = Drifting(settings, references, self._embedder, self._sampler, self._room)
        self._batches = BatchPredictions(
            settings,
            self._database,
            self._bus,
            objects,
            self._labeling,
            self._triton,
            self._deployments,
            self._predictor,
            lambda: self._room.images > 0,
        )
        self._server = self._assemble_server()

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set."""
        url = self._settings.database_url.get_secret_value()
        await asyncio.to_thread(migrate, url, SCHEMA, MIGRATIONS)
        await asyncio.to_thread(self._repository.remove_leftovers)
        await self._routes.refresh()
        await self._server.start()
        try:
            await run_beside(
                stop,
                self._bus.run(),
                OutboxRelay(self._database, OutboxRow, self._bus).run(),
                *(consumer.run() for consumer in self._consumers()),
                self._routes.run(self._settings.routes_refresh_seconds),
                self._triton.run(self._settings.routes_refresh_seconds),
                self._staging_ahead().run(self._settings.reconcile_seconds),
                self._deleted_models().run(self._settings.reconcile_seconds),
                self._reconciler.run(),
                self._thresholds().run(self._settings.thresholds_refresh_seconds),
                self._backbones.run(),
                self._bus.on_hint(_BACKBONE_PUBLISHED, self._backbones.look_for_new),
                self._sampler.run(),
                self._shadowing.run(),
                self._drifting.run(),
                *self._batches.work(),
            )
        finally:
            await self._close()

    async def _close(self) -> None:
        await self._server.stop()
        await self._batches.close()
        await self._labeling.close()
        self._decoder.close()
        await self._triton.close()
        await self._training.close()
        await self._labeling.close()
        await self._database.close()

    def _assemble_server(self) -> RpcServer:
        predictor = self._predictor(self._settings, self._room, self._decoder, self._triton)
        streams = PredictionStreams(self._settings, self._routes, self._room, predictor)
        server = RpcServer(self._settings)
        server.add(
            deployment_service_pb2_grpc.add_DeploymentServiceServicer_to_server,
            self._deployment_servicer(),
            deployment_service_pb2.DESCRIPTOR.services_by_name["DeploymentService"].full_name,
        )
        server.add(
            prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server,
            PredictionServicer(self._settings, self._routes, self._waking, predictor, streams),
            prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"].full_name,
        )
        server.add(
            embedding_service_pb2_grpc.add_EmbeddingServiceServicer_to_server,
            EmbeddingServicer(self._backbones, self._embedder),
            embedding_service_pb2.DESCRIPTOR.services_by_name["EmbeddingService"].full_name,
        )
        self._batches.add_to(server)
        return server

    def _deployment_servicer(self) -> DeploymentServicer:
        return DeploymentServicer(
            self._deployments,
            KnownModels(self._models, self._trained_models),
            Proposals(self._database, self._deployments),
            self._routes,
            self._changed,
            self._settings.watch_keepalive_seconds,
            self._settings.max_replicas,
        )

    def _predictor(self, settings: InferenceSettings, room: Room, decoder: Decoder, triton: ModelRunner) -> Predictor:
        return Predictor(
            settings,
            self._routes,
            self._waking,
            self._references,
            room,
            decoder,
            triton,
            self._sampler,
            self._shadowing,
            self._drifting,
            self._reconciler.wake,
        )

    def _consumers(self) -> list[EventConsumer]:
        handlers = [
            ("inference-model-created", _MODEL_CREATED, on_model_created),
            ("inference-model-deleted", _MODEL_DELETED, on_model_deleted),
        ]
        return [EventConsumer(self._bus, self._database, HandledEventRow, *handler) for handler in handlers]

    def _deleted_models(self) -> DeletedModels:
        lease = Lease(self._database, "deleted models", self._settings.lease_seconds)
        return DeletedModels(self._database, lease, self._deployments, self._models, self._triton, self._repository)

    def _staging_ahead(self) -> StagingAhead:
        lease = Lease(self._database, "staging", self._settings.lease_seconds)
        return StagingAhead(lease, self._models, self._staging)

    def _thresholds(self) -> Thresholds:
        lease = Lease(self._database, "thresholds", self._settings.lease_seconds)
        return Thresholds(lease, self._deployments, self._trained_models, self._models)

    async def _changed(self) -> None:
        self._reconciler.wake()
        await self._routes.refresh()
