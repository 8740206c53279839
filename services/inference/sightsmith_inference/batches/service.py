"""Batch predictions as a part of the inference service: what they are made of."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from grpc import aio

from sightsmith.api.inference.v1 import batch_prediction_service_pb2, batch_prediction_service_pb2_grpc
from sightsmith.database import Database
from sightsmith.events.bus import EventBus
from sightsmith.objects import Objects
from sightsmith.rpc.server import RpcServer
from sightsmith_inference.batches.answering import Answerer, Courtesy
from sightsmith_inference.batches.coordinator import Coordinator
from sightsmith_inference.batches.fetching import Fetcher
from sightsmith_inference.batches.finishing import Finisher
from sightsmith_inference.batches.job_steps import JobSteps
from sightsmith_inference.batches.jobs import BatchJobs
from sightsmith_inference.batches.metered_triton import MeteredTriton
from sightsmith_inference.batches.planning import Planner
from sightsmith_inference.batches.queue import ShardQueue
from sightsmith_inference.batches.servicer import BatchPredictionServicer
from sightsmith_inference.batches.shards import Shards
from sightsmith_inference.batches.sources import Sources
from sightsmith_inference.batches.worker import ShardWorker
from sightsmith_inference.decoding import Decoder
from sightsmith_inference.deployments import Deployments
from sightsmith_inference.lease import Lease
from sightsmith_inference.predictor import Predictor
from sightsmith_inference.room import Room
from sightsmith_inference.settings import InferenceSettings
from sightsmith_inference.triton import ModelRunner

# Makes a predictor with limits, room, a decoder and a way to Triton of its own.
MakePredictor = Callable[[InferenceSettings, Room, Decoder, ModelRunner], Predictor]


class BatchPredictions:
    """The parts, put together."""

    def __init__(
        self,
        settings: InferenceSettings,
        database: Database,
        bus: EventBus,
        objects: Objects,
        labeling: aio.Channel,
        triton: ModelRunner,
        deployments: Deployments,
        make_predictor: MakePredictor,
        are_clients_waiting: Callable[[], bool],
    ) -> None:
        """Puts the parts together; nothing is connected yet.

        Args:
            settings: of the service.
            database: where the jobs are.
            bus: the connection to NATS.
            objects: where stored images and the work of the jobs are.
            labeling: a channel to the service that knows datasets and snapshots.
            triton: runs the models.
            deployments: who can be asked.
            make_predictor: makes what answers.
            are_clients_waiting: whether clients wait for predictions in this process.
        """
        self._settings = settings
        self._database = database
        self._objects = objects
        self._deployments = deployments
        self._make_predictor = make_predictor
        self._courtesy = Courtesy(settings.batch_share_beside_calls, are_clients_waiting)
        self._jobs = BatchJobs(database, settings.max_batch_jobs_open)
        self._steps = JobSteps(database)
        self._shards = Shards(database, settings.batch_lease_seconds)
        self._queue = ShardQueue(bus, settings.batch_lease_seconds)
        self._finisher = Finisher(objects, settings.output_places, self._steps)
        sources = Sources(settings, settings.prediction_places_of, objects, labeling)
        self._planner = Planner(
            sources, objects, self._steps, settings.batch_shard_images, settings.max_batch_job_images
        )
        # Its own threads: a burst of calls does not wait behind the images of a job.
        self._decoder = Decoder(settings.image_limits, settings.batch_decode_threads)
        self._room = Room(settings.max_images_in_flight, settings.max_bytes_in_flight)
        self._tritons = [MeteredTriton(triton) for _ in range(settings.batch_workers)]

    def add_to(self, server: RpcServer) -> None:
        """Offers the jobs to clients."""
        servicer = BatchPredictionServicer(
            self._jobs,
            self._deployments,
            self._finisher,
            self._settings.prediction_places_of,
            self._settings.output_places,
        )
        server.add(
            batch_prediction_service_pb2_grpc.add_BatchPredictionServiceServicer_to_server,
            servicer,
            batch_prediction_service_pb2.DESCRIPTOR.services_by_name["BatchPredictionService"].full_name,
        )

    def work(self) -> Sequence[Coroutine[Any, Any, None]]:
        """What runs beside the calls of clients, each until cancelled."""
        return [self._coordinator().run(), *(self._worker(triton).run() for triton in self._tritons)]

    async def close(self) -> None:
        """Closes what is open."""
        self._decoder.close()

    def _coordinator(self) -> Coordinator:
        lease = Lease(self._database, "batch predictions", self._settings.lease_seconds)
        return Coordinator(
            self._settings, lease, self._steps, self._shards, self._queue, self._planner, self._finisher, self._objects
        )

    def _worker(self, triton: MeteredTriton) -> ShardWorker:
        settings = self._settings
        # One piece with Triton while the next is decoded, and no more: what is in its queue, calls have to wait for.
        limits = settings.model_copy(update={"max_chunks_in_flight": 2})
        fetcher = Fetcher(
            self._objects, settings.prediction_places_of, settings.max_image_bytes, settings.batch_fetch_seconds
        )
        answerer = Answerer(
            self._make_predictor(limits, self._room, self._decoder, triton),
            triton,
            fetcher,
            self._deployments,
            self._courtesy,
            settings.image_limits,
            settings.batch_chunk_images,
            settings.batch_max_outage_seconds,
        )
        return ShardWorker(settings, self._queue, self._shards, self._steps, self._objects, answerer)
