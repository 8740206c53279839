"""Embeddings through every process: exported by training, made by inference, kept and searched by labeling."""

import hashlib
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sightsmith.api.inference.v1 import embedding_service_pb2
from sightsmith.api.inference.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
from sightsmith.api.training.v1.training_job_pb2 import TrainingJob
from sightsmith.client import Client
from sightsmith.client.calls import open_channel
from sightsmith.client.connection import Connection
from sightsmith.images import decode_square
from sightsmith.stack.stack import Stack
from sightsmith_training.engine.backbone_choice import EMBEDDING_BACKBONE
from sightsmith_training.engine.catalogue import IMAGE_SIDE
from sightsmith_training.engine.embeddings import embed
from tests.e2e.conftest import Command, Shop

BACKBONE = EMBEDDING_BACKBONE
_WAIT_SECONDS = 180.0


@pytest.fixture(scope="module")
def embedded(client: Client, shop: Shop) -> Shop:
    """The shop with all its embeddings."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        progress = client.similarity.progress(f"projects/{shop.project}")
        if progress.embedded_image_count == progress.image_count:
            return shop
        assert time.monotonic() < deadline, progress
        time.sleep(0.3)


def test_embeddings_are_the_features_that_trainings_compute(stack: Stack, embedded: Shop) -> None:
    files = sorted(embedded.photos.glob("*/*.jpg"))[::3]
    connection = Connection.find(stack.endpoints.data_dir)
    with open_channel(connection.inference, connection) as channel:
        image = embedding_service_pb2.EmbedRequest.Image
        request = embedding_service_pb2.EmbedRequest(
            backbone=f"backbones/{BACKBONE.content_name}",
            images=[image(sha256=hashlib.sha256(file.read_bytes()).hexdigest()) for file in files],
        )
        response = EmbeddingServiceStub(channel).Embed(request, timeout=60)
    served = np.stack([np.frombuffer(result.vector, "<f4") for result in response.results])
    objects = Path(stack.endpoints.object_store_url.removeprefix("file://"))
    model = (objects / f"backbones/{BACKBONE.content_name}.onnx").read_bytes()
    pixels = np.stack([decode_square(file.read_bytes(), IMAGE_SIDE) for file in files])
    computed = embed(model, pixels, 1, lambda share: None)
    np.testing.assert_allclose(served, computed, atol=1e-5)


def test_similar_images_show_the_same_thing(sightsmith: Command, embedded: Shop) -> None:
    labels: Counter[bool] = Counter()
    for label in ("astronaut", "cat", "coffee", "flower", "temple"):
        query = embedded.photos / label / "03.jpg"
        done = sightsmith("similar", embedded.project, query, "--count", "6", "--json")
        assert done.code == 0, done.errors
        first, *others = done.json["images"]
        assert first["similarity"] == pytest.approx(1, abs=1e-4)
        assert first["image"]["labels"] == [label]
        labels.update(found["image"]["labels"] == [label] for found in others)
    assert labels[True] / labels.total() > 0.9


def test_progress_and_an_order_of_labelling(sightsmith: Command, embedded: Shop) -> None:
    done = sightsmith("embeddings", embedded.project, "--wait", "--json")
    assert done.code == 0, done.errors
    assert done.json["embedded_image_count"] == done.json["image_count"] == "70"
    done = sightsmith("label-next", embedded.project, "--json")
    assert done.code == 0, done.errors
    assert "items" not in done.json  # everything is labelled


def test_a_training_takes_the_embeddings_of_its_snapshot(client: Client, embedded: Shop) -> None:
    snapshot = client.snapshots.take(embedded.project)
    (file,) = snapshot.embedding_files
    assert (file.backbone, file.image_count) == (BACKBONE.content_name, 70)
    plain = client.model(embedded.model)
    job = client.wait_for_training(
        client.train(
            embedded.project, snapshot.name, seed=plain.seed, wishes=TrainingJob(effort=TrainingJob.EFFORT_FAST)
        ).name
    )
    scores = {image.image: image.scores for image in client.evaluated_images(job.model)}
    for image in client.evaluated_images(embedded.model):
        assert scores[image.image] == pytest.approx(image.scores, abs=1e-4)
