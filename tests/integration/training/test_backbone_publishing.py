"""A backbone is published once: files first, then the word that they are there."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from pydantic import ValidationError
from sqlalchemy import select

from sightsmith.api.events.v1.event_pb2 import Event
from sightsmith.database import Database
from sightsmith.objects import Objects, open_object_store
from sightsmith_training.backbone_publishing import BackbonePublisher, ExportFailedError
from sightsmith_training.engine.catalogue import CATALOGUE, IMAGE_SIDE, Backbone
from sightsmith_training.settings import TrainingSettings
from sightsmith_training.tables import Outbox

BACKBONE = CATALOGUE[0]


@pytest.fixture
def publisher(database: Database, tmp_path: Path) -> BackbonePublisher:
    settings = TrainingSettings(object_store_url=tmp_path.as_uri())
    return BackbonePublisher(settings, database, Objects(open_object_store(settings.object_store_url)))


async def published_events(database: Database) -> list[str]:
    async with database.transaction() as session:
        rows = await session.scalars(select(Outbox).where(Outbox.subject == "sightsmith.events.backbone.published"))
        return [Event.FromString(row.payload).backbone_published.backbone for row in rows]


async def test_published_once_with_everything_that_serving_needs(
    publisher: BackbonePublisher, database: Database, tmp_path: Path
) -> None:
    assert await publisher.publish(BACKBONE)
    descriptor = json.loads((tmp_path / f"backbones/published/{BACKBONE.content_name}.json").read_text())
    assert descriptor["name"] == f"backbones/{BACKBONE.content_name}"
    assert (descriptor["image_side"], descriptor["features"]) == (IMAGE_SIDE, BACKBONE.features)
    files = {file["path"]: (tmp_path / file["key"]).read_bytes() for file in descriptor["files"]}
    for file in descriptor["files"]:
        assert hashlib.sha256(files[file["path"]]).hexdigest() == file["sha256"]
        assert len(files[file["path"]]) == file["size_bytes"]
    assert f'name: "{descriptor["triton_model"]}"' in files["config.pbtxt"].decode()
    session = onnxruntime.InferenceSession(files["1/model.onnx"], providers=["CPUExecutionProvider"])
    (features,) = session.run(["OUTPUT__0"], {"INPUT__0": np.full((1, IMAGE_SIDE, IMAGE_SIDE, 3), 90, np.uint8)})
    assert features.shape == (1, BACKBONE.features)
    assert (features >= 0).all()
    events = await published_events(database)
    assert events.count(descriptor["name"]) == 1
    assert not await publisher.publish(BACKBONE)
    assert await published_events(database) == events


async def test_an_export_that_fails_publishes_nothing(publisher: BackbonePublisher, tmp_path: Path) -> None:
    unknown = Backbone(**{**vars(BACKBONE), "name": "no-such-network"})
    with pytest.raises(ExportFailedError, match="invalid choice: 'no-such-network'"):
        await publisher.publish(unknown)
    assert not list((tmp_path / "backbones").glob("published/*"))


def test_only_backbones_of_the_catalogue_can_be_asked_for() -> None:
    with pytest.raises(ValidationError, match="efficientnet-lite2, and no resnet"):
        TrainingSettings(published_backbones=("resnet",))


def test_the_publisher_needs_no_torch() -> None:
    code = "import sys, sightsmith_training.worker; sys.exit('torch' in sys.modules or 'onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
