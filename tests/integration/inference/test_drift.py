"""Images of another kind than those that a model learned from, found beside the data path."""

import hashlib
import io
from pathlib import Path

import numpy as np
import PIL.Image
from nats.js import JetStreamContext

from sightsmith.api.events.v1.event_pb2 import BackbonePublished, Event, PredictionSampled
from sightsmith.api.inference.v1.deployment_pb2 import SamplingPolicy
from sightsmith.api.labeling.v1.snapshot_pb2 import EmbeddingFile, Snapshot
from sightsmith.events.facts import event_of, subject_of
from sightsmith.stack import Stack
from tests.integration.inference.conftest import PutModel
from tests.integration.inference.inference_client import InferenceClient
from tests.integration.inference.labeling_stand_in import LabelingStandIn
from tests.integration.inference.test_embedding import EmbeddingClient
from tests.integration.inference.tiny_backbone import FEATURES, mean_colour, publish
from tests.integration.inference.tiny_models import TinyModel

MODEL, SNAPSHOT = "projects/shop/models/drifting", "projects/shop/snapshots/77"
# More than are remembered, so that some are passed over.
IMAGES = 5000


def picture(red: int, green: int, blue: int) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (32, 32), (red, green, blue)).save(buffer, "PNG")
    return buffer.getvalue()


def reddish_embeddings(path: Path) -> None:
    """What the backbone of mean colours says of reddish images, as it travels with a snapshot."""
    vectors = np.random.default_rng(5).normal([0.9, 0.1, 0.1], 0.02, (IMAGES, FEATURES))
    records = np.zeros(IMAGES, [("sha256", "S64"), ("vector", "<f4", (FEATURES,))])
    records["vector"] = vectors
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, records)


async def test_another_kind_of_picture_is_kept(
    client: InferenceClient,
    stack: Stack,
    labeling: tuple[LabelingStandIn, int],
    put_model: PutModel,
    alpha: TinyModel,
    jetstream: JetStreamContext,
) -> None:
    objects = Path(stack.endpoints.object_store_url.removeprefix("file://"))
    backbone = publish(objects, "drifting", mean_colour())
    published = event_of(BackbonePublished(backbone=backbone))
    await jetstream.publish(subject_of(published), published.SerializeToString())
    embedding = EmbeddingClient(stack.endpoints.inference)
    await embedding.wait_for(backbone)
    await embedding.channel.close()

    key = "snapshots/embeddings/reddish.npy"
    reddish_embeddings(objects / key)
    file = EmbeddingFile(backbone=backbone.removeprefix("backbones/"), key=key, image_count=IMAGES)
    labeling[0].snapshots.known[SNAPSHOT] = Snapshot(name=SNAPSHOT, embedding_files=[file])
    put_model(MODEL, {"onnx": alpha.onnx}, snapshot=SNAPSHOT)
    subscription = await jetstream.subscribe(
        "sightsmith.events.prediction.sampled", deliver_policy="new", ordered_consumer=True
    )
    red, blue = picture(230, 26, 25), picture(20, 30, 240)
    await client.create("drifting", model=MODEL, sampling=SamplingPolicy(drift_share=1))
    await client.wait_predicting("drifting", red)
    for image in (red, blue, red):
        await client.predict("drifting", image)
    told = Event.FromString((await subscription.next_msg(timeout=20)).data).prediction_sampled
    await subscription.unsubscribe()
    await client.delete("drifting")
    # One message after the other: had the first red one been kept, it would have been told before.
    assert (told.reason, told.image_sha256) == (PredictionSampled.REASON_DRIFT, hashlib.sha256(blue).hexdigest())
    assert told.inclusion_probability == 0
