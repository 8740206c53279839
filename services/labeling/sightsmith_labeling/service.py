"""The labeling service, put together."""

import asyncio
from pathlib import Path

from sightsmith.api.labeling.v1 import labeling_service_pb2
from sightsmith.api.labeling.v1.labeling_service_pb2_grpc import add_LabelingServiceServicer_to_server
from sightsmith.database import Database, migrate
from sightsmith.events.bus import EventBus
from sightsmith.events.outbox import OutboxRelay
from sightsmith.images import ImageLimits
from sightsmith.objects import Objects, open_object_store
from sightsmith.rpc.server import RpcServer
from sightsmith.service import run_beside
from sightsmith_labeling.datasets import Datasets
from sightsmith_labeling.images import Images
from sightsmith_labeling.labeling_servicer import LabelingServicer
from sightsmith_labeling.projects import Projects
from sightsmith_labeling.settings import LabelingSettings
from sightsmith_labeling.snapshots import Snapshots
from sightsmith_labeling.tables import SCHEMA, Outbox
from sightsmith_labeling.uploads.header import HeaderLimits
from sightsmith_labeling.uploads.pipeline import UploadLimits, Uploads

MIGRATIONS = Path(__file__).parent / "migrations"
_SERVICE = labeling_service_pb2.DESCRIPTOR.services_by_name["LabelingService"].full_name


async def serve(settings: LabelingSettings, stop: asyncio.Event) -> None:
    """Brings the schema up to date, then answers calls and publishes facts until `stop` is set."""
    url = settings.database_url.get_secret_value()
    await asyncio.to_thread(migrate, url, SCHEMA, MIGRATIONS)
    database = Database(url)
    objects = Objects(open_object_store(settings.object_store_url))
    uploads = Uploads(database, objects, upload_limits(settings))
    servicer = LabelingServicer(
        Projects(database), Datasets(database), Images(database), uploads, Snapshots(database, objects), objects
    )
    server = RpcServer(settings)
    server.add(add_LabelingServiceServicer_to_server, servicer, _SERVICE)
    bus = EventBus(settings, "labeling")
    await server.start()
    try:
        await run_beside(stop, bus.run(), OutboxRelay(database, Outbox, bus).run())
    finally:
        await server.stop()
        uploads.close()
        await database.close()


def upload_limits(settings: LabelingSettings) -> UploadLimits:
    """The limits of uploads that the settings give."""
    return UploadLimits(
        image=ImageLimits(settings.max_image_bytes, settings.max_image_pixels, settings.min_image_side),
        header=HeaderLimits(settings.max_source_length, settings.max_label_length, settings.max_labels_per_image),
        images_in_memory=settings.upload_concurrency,
        uploads=settings.max_concurrent_uploads,
    )
