"""The labeling service, put together."""

import asyncio

from sightsmith.api.labeling.v1 import (
    annotation_service_pb2,
    change_service_pb2,
    import_export_service_pb2,
    label_service_pb2,
    labeling_service_pb2,
    review_service_pb2,
    similarity_service_pb2,
    snapshot_service_pb2,
    split_service_pb2,
    suggestion_service_pb2,
    validation_service_pb2,
)
from sightsmith.api.labeling.v1.annotation_service_pb2_grpc import add_AnnotationServiceServicer_to_server
from sightsmith.api.labeling.v1.change_service_pb2_grpc import add_ChangeServiceServicer_to_server
from sightsmith.api.labeling.v1.import_export_service_pb2_grpc import add_ImportExportServiceServicer_to_server
from sightsmith.api.labeling.v1.label_service_pb2_grpc import add_LabelServiceServicer_to_server
from sightsmith.api.labeling.v1.labeling_service_pb2_grpc import add_LabelingServiceServicer_to_server
from sightsmith.api.labeling.v1.review_service_pb2_grpc import add_ReviewServiceServicer_to_server
from sightsmith.api.labeling.v1.similarity_service_pb2_grpc import add_SimilarityServiceServicer_to_server
from sightsmith.api.labeling.v1.snapshot_service_pb2_grpc import add_SnapshotServiceServicer_to_server
from sightsmith.api.labeling.v1.split_service_pb2_grpc import add_SplitServiceServicer_to_server
from sightsmith.api.labeling.v1.suggestion_service_pb2_grpc import add_SuggestionServiceServicer_to_server
from sightsmith.api.labeling.v1.validation_service_pb2_grpc import add_ValidationServiceServicer_to_server
from sightsmith.database import Database, migrate
from sightsmith.events.bus import EventBus
from sightsmith.events.consumer import EventConsumer
from sightsmith.events.outbox import OutboxRelay
from sightsmith.objects import Objects, open_object_store
from sightsmith.rpc.server import RpcServer
from sightsmith.rpc.service_channel import service_channel
from sightsmith.service import run_beside
from sightsmith_labeling.annotating import Annotations
from sightsmith_labeling.annotation_servicer import AnnotationServicer
from sightsmith_labeling.change_servicer import ChangeServicer
from sightsmith_labeling.changes import Changes
from sightsmith_labeling.datasets import Datasets
from sightsmith_labeling.embeddings.inference import InferenceService
from sightsmith_labeling.embeddings.labelling_by_example import LabellingByExample
from sightsmith_labeling.embeddings.labelling_order import LabellingOrder, OrderLimits
from sightsmith_labeling.embeddings.near_duplicates import NearDuplicateSearch
from sightsmith_labeling.embeddings.similar_images import SimilarImages
from sightsmith_labeling.embeddings.similarity_servicer import SimilarityServicer
from sightsmith_labeling.embeddings.snapshot_files import SnapshotEmbeddings
from sightsmith_labeling.image_keeping import ImageKeeping
from sightsmith_labeling.images import Images
from sightsmith_labeling.imports.import_export_servicer import import_export_servicer
from sightsmith_labeling.intake import Intake, IntakeLimits
from sightsmith_labeling.label_servicer import LabelServicer
from sightsmith_labeling.labeling_servicer import LabelingServicer
from sightsmith_labeling.project_labels import Labels
from sightsmith_labeling.projects import Projects
from sightsmith_labeling.quotas import Quotas
from sightsmith_labeling.review.review_servicer import review_servicer
from sightsmith_labeling.review.sampled import CONSUMER, SUBJECT, on_prediction_sampled
from sightsmith_labeling.review.tables import HandledEventRow
from sightsmith_labeling.settings import LabelingSettings
from sightsmith_labeling.snapshots.restoring import Restorer
from sightsmith_labeling.snapshots.servicer import SnapshotServicer
from sightsmith_labeling.snapshots.snapshots import Snapshots
from sightsmith_labeling.splitting.distribution import Distributions
from sightsmith_labeling.splitting.split_servicer import SplitServicer
from sightsmith_labeling.suggestions.suggestion_servicer import suggestion_servicer
from sightsmith_labeling.tables import MIGRATIONS, SCHEMA, Outbox
from sightsmith_labeling.uploads.header import HeaderLimits
from sightsmith_labeling.uploads.pipeline import UploadLimits, Uploads
from sightsmith_labeling.validation.validation_servicer import validation_servicer

_ANNOTATION_SERVICE = annotation_service_pb2.DESCRIPTOR.services_by_name["AnnotationService"].full_name
_CHANGE_SERVICE = change_service_pb2.DESCRIPTOR.services_by_name["ChangeService"].full_name
_LABEL_SERVICE = label_service_pb2.DESCRIPTOR.services_by_name["LabelService"].full_name
_SERVICE = labeling_service_pb2.DESCRIPTOR.services_by_name["LabelingService"].full_name
_IMPORT_EXPORT_SERVICE = import_export_service_pb2.DESCRIPTOR.services_by_name["ImportExportService"].full_name
_SIMILARITY_SERVICE = similarity_service_pb2.DESCRIPTOR.services_by_name["SimilarityService"].full_name
_REVIEW_SERVICE = review_service_pb2.DESCRIPTOR.services_by_name["ReviewService"].full_name
_SUGGESTION_SERVICE = suggestion_service_pb2.DESCRIPTOR.services_by_name["SuggestionService"].full_name
_SPLIT_SERVICE = split_service_pb2.DESCRIPTOR.services_by_name["SplitService"].full_name
_VALIDATION_SERVICE = validation_service_pb2.DESCRIPTOR.services_by_name["ValidationService"].full_name
_SNAPSHOT_SERVICE = snapshot_service_pb2.DESCRIPTOR.services_by_name["SnapshotService"].full_name


async def serve(settings: LabelingSettings, stop: asyncio.Event) -> None:
    """Brings the schema up to date, then answers calls and publishes facts until `stop` is set."""
    url = settings.database_url.get_secret_value()
    await asyncio.to_thread(migrate, url, SCHEMA, MIGRATIONS)
    database = Database(url)
    objects = Objects(open_object_store(settings.object_store_url))
    intake = Intake(objects, IntakeLimits.of(settings))
    uploads = Uploads(database, intake, upload_limits(settings))
    quotas, images = Quotas.of(settings), Images(database)
    servicer = LabelingServicer(
        Projects(database, quotas),
        Datasets(database),
        images,
        ImageKeeping(database, images, quotas, settings.max_source_length),
        uploads,
        intake,
        objects,
        settings.max_batch_size,
    )
    server = RpcServer(settings)
    server.add(add_LabelingServiceServicer_to_server, servicer, _SERVICE)
    annotations = AnnotationServicer(Annotations(database, images, quotas), settings.max_batch_size)
    server.add(add_AnnotationServiceServicer_to_server, annotations, _ANNOTATION_SERVICE)
    server.add(add_LabelServiceServicer_to_server, LabelServicer(Labels(database, quotas)), _LABEL_SERVICE)
    server.add(add_ChangeServiceServicer_to_server, ChangeServicer(Changes(database)), _CHANGE_SERVICE)
    snapshots = SnapshotServicer(
        Snapshots(database, objects, SnapshotEmbeddings(database, objects, settings.embedding_backbones)),
        Restorer(database, objects, intake),
        objects,
    )
    server.add(add_SnapshotServiceServicer_to_server, snapshots, _SNAPSHOT_SERVICE)
    inference = service_channel(settings.inference_target, settings)
    similarity = similarity_servicer(settings, database, objects, InferenceService(inference))
    server.add(add_SimilarityServiceServicer_to_server, similarity, _SIMILARITY_SERVICE)
    server.add(add_SuggestionServiceServicer_to_server, suggestion_servicer(settings, database), _SUGGESTION_SERVICE)
    review = review_servicer(settings, database, objects, intake)
    server.add(add_ReviewServiceServicer_to_server, review, _REVIEW_SERVICE)
    transfers = import_export_servicer(settings, database, objects)
    server.add(add_ImportExportServiceServicer_to_server, transfers, _IMPORT_EXPORT_SERVICE)
    server.add(add_SplitServiceServicer_to_server, SplitServicer(Distributions(database)), _SPLIT_SERVICE)
    validation = validation_servicer(settings, database, objects)
    server.add(add_ValidationServiceServicer_to_server, validation, _VALIDATION_SERVICE)
    bus = EventBus(settings, "labeling")
    sampled = EventConsumer(bus, database, HandledEventRow, CONSUMER, SUBJECT, on_prediction_sampled)
    await server.start()
    try:
        await run_beside(stop, bus.run(), OutboxRelay(database, Outbox, bus).run(), sampled.run())
    finally:
        await server.stop()
        intake.close()
        await inference.close()
        await database.close()


def similarity_servicer(
    settings: LabelingSettings, database: Database, objects: Objects, inference: InferenceService
) -> SimilarityServicer:
    """What answers about similar images."""
    backbone = settings.embedding_backbones[0]
    similar = SimilarImages(database, inference, backbone)
    limits = OrderLimits(
        compared=settings.order_max_compared_images,
        predicted=settings.order_max_predicted_images,
        message_bytes=settings.max_message_bytes,
    )
    return SimilarityServicer(
        backbone,
        similar,
        NearDuplicateSearch(database, backbone),
        LabellingByExample(database, similar, backbone, Quotas.of(settings)),
        LabellingOrder(database, objects, inference, backbone, limits),
    )


def upload_limits(settings: LabelingSettings) -> UploadLimits:
    """The limits of uploads that the settings give."""
    return UploadLimits(
        header=HeaderLimits(
            max_source_length=settings.max_source_length,
            max_label_length=settings.max_label_length,
            max_labels=settings.max_labels_per_image,
            max_boxes=settings.max_boxes_per_image,
        ),
        quotas=Quotas.of(settings),
        max_image_bytes=settings.max_image_bytes,
        images_in_memory=settings.upload_concurrency,
        uploads=settings.max_concurrent_uploads,
        idle_seconds=settings.upload_idle_seconds,
    )
