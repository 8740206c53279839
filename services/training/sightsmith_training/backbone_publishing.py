"""Frozen backbones for the inference server, so that images are embedded as trainings embed them."""

import asyncio
import hashlib
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from tempfile import TemporaryDirectory
from typing import Any

from sightsmith.api.events.v1.event_pb2 import BackbonePublished
from sightsmith.database import Database
from sightsmith.errors import UnavailableError
from sightsmith.events.outbox import tell
from sightsmith.logs import get_logger
from sightsmith.names import BackboneName
from sightsmith.objects import Objects
from sightsmith_training.engine.catalogue import CATALOGUE, IMAGE_SIDE, Backbone
from sightsmith_training.settings import TrainingSettings
from sightsmith_training.tables import Outbox
from sightsmith_training.triton_config import triton_config

BACKBONE_PREFIX = "backbones"
"""Key prefix of exported backbones, those of the engine's own cache too."""

PUBLISHED_PREFIX = f"{BACKBONE_PREFIX}/published"
"""Here lies a descriptor for each backbone that is to stand in the inference server, beside a folder of its files."""

_CATALOGUE = {backbone.name: backbone for backbone in CATALOGUE}
_log = get_logger(__name__)


class ExportFailedError(Exception):
    """The program that exports a backbone did not succeed."""


class BackbonePublisher:
    """Publishes the backbones that the settings name, each once for all workers and all time."""

    def __init__(self, settings: TrainingSettings, database: Database, objects: Objects) -> None:
        self._settings = settings
        self._database = database
        self._objects = objects

    async def run(self) -> None:
        """Publishes what is missing, trying again for as long as it takes; returns when all is there."""
        for backbone in map(_CATALOGUE.__getitem__, self._settings.published_backbones):
            await self._publish_in_the_end(backbone)

    async def publish(self, backbone: Backbone) -> bool:
        """Publishes a backbone; returns whether it was not there before.

        Two workers that publish the same one at the same time do no harm: every file is named by its content, and the
        descriptor, written last, names files that are there.
        """
        descriptor_key = f"{PUBLISHED_PREFIX}/{backbone.content_name}.json"
        if await self._has(descriptor_key):
            return False
        await self._export(backbone)
        model = await self._objects.get(f"{BACKBONE_PREFIX}/{backbone.content_name}.onnx")
        descriptor = await self._store(backbone, model)
        await self._objects.put(descriptor_key, json.dumps(descriptor, indent=2).encode())
        async with self._database.transaction() as session:
            tell(session, Outbox, BackbonePublished(backbone=str(BackboneName(backbone.content_name))))
        return True

    async def _publish_in_the_end(self, backbone: Backbone) -> None:
        while True:
            try:
                if await self.publish(backbone):
                    _log.info("backbone published", backbone=backbone.content_name)
                return
            except (UnavailableError, ExportFailedError, OSError) as error:
                _log.warning("backbone is not published yet, trying again", backbone=backbone.name, error=str(error))
                await asyncio.sleep(self._settings.backbone_retry_seconds)

    async def _has(self, key: str) -> bool:
        try:
            await self._objects.get(key)
        except FileNotFoundError:
            return False
        return True

    async def _export(self, backbone: Backbone) -> None:
        """Has a child process, in which torch stays, export the backbone into the engine's cache if it is not there."""
        arguments = (self._settings.object_store_url, BACKBONE_PREFIX, backbone.name)
        # torch leaves folders behind wherever it is imported.
        with TemporaryDirectory(prefix="sightsmith-export-") as folder:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "sightsmith_training.engine.backbone_export", *arguments),
                stdin=DEVNULL,
                stderr=PIPE,
                env={**os.environ, "TMPDIR": folder},
            )
            try:
                _, errors = await process.communicate()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        if process.returncode:
            raise ExportFailedError(errors.decode(errors="replace")[-2000:])

    async def _store(self, backbone: Backbone, model: bytes) -> dict[str, Any]:
        """Stores the files of the backbone's folder in a Triton repository, and describes them."""
        sha256 = hashlib.sha256(model).hexdigest()
        triton_model = f"backbone.{backbone.content_name}.{sha256[:12]}"
        config = triton_config(triton_model, "onnx", IMAGE_SIDE, backbone.features).encode()
        files = []
        for path, data in (("config.pbtxt", config), ("1/model.onnx", model)):
            digest = hashlib.sha256(data).hexdigest()
            key = f"{PUBLISHED_PREFIX}/{backbone.content_name}/{digest}"
            await self._objects.put_once(key, data)
            files.append({"path": path, "key": key, "sha256": digest, "size_bytes": len(data)})
        return {
            "name": str(BackboneName(backbone.content_name)),
            "network": backbone.name,
            "licence": backbone.licence,
            "image_side": IMAGE_SIDE,
            "features": backbone.features,
            "triton_model": triton_model,
            "files": files,
        }
