"""Similar images, near-duplicates, labels by example and an order for labelling, on a real database with pgvector."""

import asyncio
import hashlib
import io
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import numpy as np
import psycopg
import pytest
from google.protobuf.message import Message
from PIL import Image
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from sightsmith.api.labeling.v1 import image_pb2, labeling_service_pb2, snapshot_service_pb2
from sightsmith.api.labeling.v1 import similarity_service_pb2 as pb
from sightsmith.api.labeling.v1.annotation_pb2 import Annotation
from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TEST
from sightsmith.api.labeling.v1.similarity_service_pb2_grpc import SimilarityServiceStub
from sightsmith.settings import Settings
from sightsmith.stack import Endpoints
from sightsmith_labeling.embeddings.tables import EmbeddingRow
from tests.integration.conftest import TOKEN
from tests.integration.labeling.conftest import MakeProcess, MakeWorker, make_database
from tests.integration.labeling.inference_stand_in import InferenceStandIn, features
from tests.integration.labeling.labeling_client import Failure, LabelingClient, Sample
from tests.integration.migrations import differences

DIVERSITY = pb.OrderForLabellingRequest.STRATEGY_DIVERSITY
UNCERTAINTY = pb.OrderForLabellingRequest.STRATEGY_UNCERTAINTY
RED, BLUE, VIOLET = (220, 30, 30), (30, 30, 220), (125, 30, 125)
_WAIT_SECONDS = 30.0
_ATTEMPTS = 3
_MAX_PREDICTED = 4


def picture(colour: tuple[int, int, int], seed: int = 0, noise: int = 8) -> bytes:
    """A picture of about one colour; no two seeds give the same."""
    pixels = np.array(colour) + np.random.default_rng(seed).integers(-noise, noise + 1, (40, 40, 3))
    data = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(data, "PNG")
    return data.getvalue()


def similarity(one: bytes, other: bytes) -> float:
    """The cosine of the square roots of the features, as the protos promise."""
    first, second = (np.sqrt(features(data).astype(np.float64) + 0.001) for data in (one, other))
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


class Client(LabelingClient):
    """With short ways to the calls of this module."""

    def __init__(self, target: str) -> None:
        super().__init__(target, TOKEN)
        self.similarity = SimilarityServiceStub(self.channel)

    async def find(self, parent: str, **fields: object) -> list[pb.SimilarImage]:
        request = pb.FindSimilarImagesRequest(parent=parent, **fields)
        return list((await self.similarity.FindSimilarImages(request, metadata=self.metadata)).images)

    async def add(self, dataset: str, *samples: Sample) -> list[image_pb2.Image]:
        return [answer.image for answer in await self.upload(dataset, samples)]

    async def progress(self, project: str) -> pb.EmbeddingProgress:
        request = pb.GetEmbeddingProgressRequest(parent=project)
        return await self.similarity.GetEmbeddingProgress(request, metadata=self.metadata)

    async def wait_for_embeddings(self, project: str) -> pb.EmbeddingProgress:
        deadline = time.monotonic() + _WAIT_SECONDS
        while True:
            progress = await self.progress(project)
            if progress.embedded_image_count + progress.failed_image_count == progress.image_count:
                return progress
            assert time.monotonic() < deadline, progress
            await asyncio.sleep(0.05)

    async def order(self, dataset: str, **fields: object) -> pb.OrderForLabellingResponse:
        request = pb.OrderForLabellingRequest(parent=dataset, **fields)
        return await self.similarity.OrderForLabelling(request, metadata=self.metadata)

    async def label_like(self, example: str, **fields: object) -> pb.LabelLikeResponse:
        request = pb.LabelLikeRequest(example=example, **fields)
        return await self.similarity.LabelLike(request, metadata=self.metadata)

    async def image(self, name: str) -> image_pb2.Image:
        return await self.stub.GetImage(labeling_service_pb2.GetImageRequest(name=name), metadata=self.metadata)


@pytest.fixture(scope="module")
def database_url(servers: Endpoints) -> str:
    return make_database(servers)


@pytest.fixture(scope="module")
def sql(database_url: str) -> Iterator[psycopg.Connection]:
    url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def objects(servers: Endpoints) -> Path:
    return Path(servers.object_store_url.removeprefix("file://"))


@pytest.fixture(scope="module")
async def inference(objects: Path) -> AsyncIterator[tuple[InferenceStandIn, str]]:
    stand_in = InferenceStandIn(objects)
    server, address = await stand_in.start(Settings(token=SecretStr(TOKEN), listen="127.0.0.1:0"))
    yield stand_in, address
    await server.stop()


@pytest.fixture(scope="module")
async def client(
    make_process: MakeProcess, make_worker: MakeWorker, database_url: str, inference: tuple[InferenceStandIn, str]
) -> AsyncIterator[Client]:
    """A client of a labeling process and its worker, with a database of their own: nobody else embeds its images."""
    settings = {
        "SIGHTSMITH_DATABASE_URL": database_url,
        "SIGHTSMITH_INFERENCE_TARGET": inference[1],
        "SIGHTSMITH_EMBEDDING_ATTEMPTS": str(_ATTEMPTS),
        "SIGHTSMITH_EMBEDDING_QUIET_SECONDS": "0",
        "SIGHTSMITH_EMBEDDING_POLL_SECONDS": "0.05",
        "SIGHTSMITH_EMBEDDING_LONGEST_PAUSE_SECONDS": "0.2",
        "SIGHTSMITH_ORDER_MAX_PREDICTED_IMAGES": str(_MAX_PREDICTED),
    }
    process, worker = make_process(settings), make_worker(settings)
    process.begin()
    await asyncio.to_thread(process.wait_until_serving)
    worker.begin()
    client = Client(process.target)
    async with client.channel:
        yield client


async def test_every_image_is_embedded_once(client: Client, inference: tuple[InferenceStandIn, str]) -> None:
    shared = picture(RED, 1)
    first, second = await client.new_dataset(), await client.new_dataset()
    await client.add(first, Sample("a.png", shared, ()), Sample("b.png", picture(RED, 2), ()))
    await client.wait_for_embeddings(first.partition("/datasets")[0])
    (image,) = await client.add(second, Sample("c.png", shared, ()))
    progress = await client.wait_for_embeddings(second.partition("/datasets")[0])
    assert (progress.image_count, progress.embedded_image_count) == (1, 1)
    assert progress.backbone.startswith("backbones/efficientnet-lite1-")
    assert inference[0].embedded.count(image.sha256) == 1


async def test_the_most_similar_come_first(client: Client, dataset: str) -> None:
    pictures = [picture(RED, 10), picture(RED, 11, noise=60), picture(VIOLET, 12), picture(BLUE, 13)]
    images = await client.add(dataset, *(Sample(f"{n}.png", data, ()) for n, data in enumerate(pictures)))
    project = dataset.partition("/datasets")[0]
    await client.wait_for_embeddings(project)
    found = await client.find(project, image=images[0].name)
    assert [result.image.source for result in found] == ["1.png", "2.png", "3.png"]
    expected = [similarity(pictures[0], data) for data in pictures[1:]]
    assert [result.similarity for result in found] == pytest.approx(expected, abs=1e-4)
    by_content = await client.find(dataset, content=pictures[0], max_results=2)
    assert [result.image.source for result in by_content] == ["0.png", "1.png"]
    assert by_content[0].similarity == pytest.approx(1, abs=1e-5)
    near = await client.find(project, image=images[0].name, min_similarity=expected[0] - 0.001)
    assert [result.image.source for result in near] == ["1.png"]


async def test_filters(client: Client, dataset: str) -> None:
    project = dataset.partition("/datasets")[0]
    test = await client.new_dataset(project, "test", SPLIT_TEST)
    labels = [(), ("red",), ("red", "warm"), ("blue",)]
    samples = [Sample(f"{n}.png", picture(RED, 20 + n), names) for n, names in enumerate(labels)]
    images = await client.add(dataset, *samples)
    await client.add(test, Sample("test.png", picture(RED, 30), ("red",)))
    await client.wait_for_embeddings(project)

    async def sources(parent: str = project, **fields: object) -> set[str]:
        return {result.image.source for result in await client.find(parent, content=picture(RED, 40), **fields)}

    assert await sources() == {"0.png", "1.png", "2.png", "3.png", "test.png"}
    assert await sources(dataset) == {"0.png", "1.png", "2.png", "3.png"}
    assert await sources(labels=["red"]) == {"1.png", "2.png", "test.png"}
    assert await sources(labels=["red", "warm"]) == {"2.png"}
    assert await sources(labels=["nobody uses this"]) == set()
    assert await sources(unlabelled_only=True) == {"0.png"}
    assert len(images) == 4


async def test_the_index_finds_what_comparing_all_finds(client: Client, dataset: str, sql: psycopg.Connection) -> None:
    """Among more images than are compared one by one, with other projects' images in the same index."""
    samples = [Sample(f"{n}.png", picture((n * 4, 255 - n * 4, 90), n), ()) for n in range(60)]
    images = await client.add(dataset, *samples)
    project = dataset.partition("/datasets")[0]
    await client.wait_for_embeddings(project)
    plain = await client.find(project, image=images[20].name, max_results=10)
    (key,) = sql.execute("SELECT dataset FROM labeling.images WHERE source = '59.png'").fetchone() or (None,)
    # The dataset now says that it is large; what it has is the same.
    tally = (
        "INSERT INTO labeling.image_tallies (dataset, images, labelled, erroneous, unready) VALUES (%s, %s, 0, 0, 0)"
    )
    sql.execute(tally, (key, 900_000))
    by_index = await client.find(project, image=images[20].name, max_results=10)
    assert [found.image.name for found in by_index] == [found.image.name for found in plain]
    assert len(plain) == 10


async def test_a_dataset_is_usable_while_inference_is_away(
    client: Client, dataset: str, inference: tuple[InferenceStandIn, str]
) -> None:
    inference[0].is_away = True
    try:
        (image,) = await client.add(dataset, Sample("a.png", picture(BLUE, 50), ("blue",)))
        project = dataset.partition("/datasets")[0]
        progress = await client.progress(project)
        assert (progress.image_count, progress.embedded_image_count) == (1, 0)
        assert (await client.image(image.name)).labels == ["blue"]
        request = snapshot_service_pb2.CreateSnapshotRequest(parent=project)
        snapshot = await client.snapshots.CreateSnapshot(request, metadata=client.metadata)
        assert not snapshot.embedding_files
        with Failure(grpc.StatusCode.UNAVAILABLE, "WRONG_STATE"):
            await client.find(project, image=image.name)
    finally:
        inference[0].is_away = False
    await client.wait_for_embeddings(project)
    assert await client.find(project, image=image.name) == []


async def test_one_image_holds_up_no_other(
    client: Client, dataset: str, inference: tuple[InferenceStandIn, str]
) -> None:
    stand_in, _ = inference
    bad, good = picture(RED, 810), picture(BLUE, 811)
    digest = hashlib.sha256(bad).hexdigest()
    stand_in.troubling.add(digest)
    await client.add(dataset, Sample("bad.png", bad, ()))
    await client.add(dataset, Sample("good.png", good, ()))
    project = dataset.partition("/datasets")[0]
    progress = await client.wait_for_embeddings(project)
    # Only once it was tried often enough is it given up.
    assert (progress.embedded_image_count, progress.failed_image_count) == (1, 1)
    assert stand_in.embedded.count(digest) == _ATTEMPTS


async def test_near_duplicates_within_and_across_datasets(client: Client, dataset: str) -> None:
    project = dataset.partition("/datasets")[0]
    test = await client.new_dataset(project, "test", SPLIT_TEST)
    await client.add(
        dataset,
        *(Sample(f"train-{n}.png", picture(colour, 60, noise=1 + n), ()) for n, colour in enumerate([RED, RED, BLUE])),
    )
    await client.add(
        test, Sample("test-0.png", picture(BLUE, 60, noise=3), ()), Sample("test-1.png", picture(VIOLET), ())
    )
    await client.wait_for_embeddings(project)

    async def pairs(page_size: int) -> set[frozenset[str]]:
        found, token = set(), ""
        while True:
            request = pb.ListNearDuplicatesRequest(
                parent=project, min_similarity=0.999, page_size=page_size, page_token=token
            )
            page = await client.similarity.ListNearDuplicates(request, metadata=client.metadata)
            assert all(pair.similarity >= 0.999 for pair in page.pairs)
            found |= {frozenset((pair.first.source, pair.second.source)) for pair in page.pairs}
            token = page.next_page_token
            if not token:
                return found

    expected = {frozenset(("train-0.png", "train-1.png")), frozenset(("train-2.png", "test-0.png"))}
    assert await pairs(100) == expected
    assert await pairs(1) == expected


async def test_label_like_shows_first_and_then_labels(client: Client, dataset: str, sql: psycopg.Connection) -> None:
    names = ("red", "warm")
    samples = [Sample("example.png", picture(RED, 70), names), Sample("near.png", picture(RED, 71), ())]
    samples += [Sample("far.png", picture(BLUE, 72), ()), Sample("labelled.png", picture(RED, 73), ("other",))]
    example, near, far, labelled = await client.add(dataset, *samples)
    await client.wait_for_embeddings(dataset.partition("/datasets")[0])
    preview = await client.label_like(example.name, min_similarity=0.99, validate_only=True)
    assert [found.image.name for found in preview.images] == [near.name]
    assert (await client.image(near.name)).labels == []
    done = await client.label_like(example.name, min_similarity=0.99)
    assert list(done.labels) == list(names)
    assert [list(found.image.labels) for found in done.images] == [list(names)]
    now = await client.image(near.name)
    assert list(now.labels) == list(names)
    assert now.etag != near.etag
    assert {annotation.origin for annotation in now.annotations} == {Annotation.ORIGIN_PERSON}
    chosen = await client.label_like(example.name, images=[far.name, labelled.name])
    assert [found.image.name for found in chosen.images] == [labelled.name, far.name]
    assert list((await client.image(labelled.name)).labels) == ["other", "red", "warm"]
    trail = "SELECT count(*) FROM labeling.changes WHERE action = 'images.label_like' AND resource = ANY(%s)"
    assert sql.execute(trail, ([near.name, far.name, labelled.name],)).fetchone() == (3,)


async def test_diversity_ranks_new_kinds_of_pictures_first(client: Client, dataset: str) -> None:
    labelled = [Sample(f"labelled-{n}.png", picture(RED, 80 + n), ("red",)) for n in range(3)]
    new = [Sample(f"red-{n}.png", picture(RED, 90 + n), ()) for n in range(5)]
    await client.add(dataset, *labelled, *new, Sample("blue.png", picture(BLUE, 99), ()))
    await client.wait_for_embeddings(dataset.partition("/datasets")[0])
    order = await client.order(dataset, strategy=DIVERSITY, max_results=3)
    assert order.items[0].image.source == "blue.png"
    assert len(order.items) == 3
    assert order.candidate_count == 6
    scores = [item.score for item in order.items]
    assert scores == sorted(scores, reverse=True)
    assert 1 >= scores[0] > 5 * scores[1] > 0


async def test_uncertainty_ranks_by_the_entropy_of_a_deployed_model(client: Client, dataset: str) -> None:
    colours = {"red": RED, "blue": BLUE, "violet": VIOLET}
    await client.add(dataset, *(Sample(name, picture(colour, 110), ()) for name, colour in colours.items()))
    live = f"{dataset.partition('/datasets')[0]}/deployments/live"
    order = await client.order(dataset, strategy=UNCERTAINTY, deployment=live)
    assert order.items[0].image.source == "violet"
    assert order.items[0].score == pytest.approx(1, abs=0.01)
    assert all(item.score < 0.8 for item in order.items[1:])
    assert order.candidate_count == len(order.items) == 3
    with Failure(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        await client.order(dataset, strategy=UNCERTAINTY, deployment=live.replace("live", "none"))


async def test_a_deployment_is_asked_about_so_many_images_and_no_more(client: Client, dataset: str) -> None:
    await client.add(dataset, *(Sample(f"{n}.png", picture(VIOLET, 200 + n), ()) for n in range(_MAX_PREDICTED + 2)))
    live = f"{dataset.partition('/datasets')[0]}/deployments/live"
    order = await client.order(dataset, strategy=UNCERTAINTY, deployment=live, max_results=200)
    assert order.candidate_count == len(order.items) == _MAX_PREDICTED


async def test_what_is_known_travels_with_a_snapshot(client: Client, dataset: str, objects: Path) -> None:
    pictures = [picture(RED, 120), picture(BLUE, 121)]
    images = await client.add(dataset, *(Sample(f"{n}.png", data, ("x",)) for n, data in enumerate(pictures)))
    project = dataset.partition("/datasets")[0]
    await client.wait_for_embeddings(project)
    request = snapshot_service_pb2.CreateSnapshotRequest(parent=project)
    snapshot = await client.snapshots.CreateSnapshot(request, metadata=client.metadata)
    (file,) = snapshot.embedding_files
    assert file.image_count == 2
    assert file.key.endswith(f"{file.sha256}.npy")
    records = np.load(objects / file.key, allow_pickle=False)
    by_name = {record["sha256"].decode(): record["vector"] for record in records}
    for image, data in zip(images, pictures, strict=True):
        np.testing.assert_array_equal(by_name[image.sha256], features(data))
    again = await client.snapshots.CreateSnapshot(request, metadata=client.metadata)
    assert again.embedding_files == snapshot.embedding_files
    get = snapshot_service_pb2.GetSnapshotRequest(name=snapshot.name)
    assert await client.snapshots.GetSnapshot(get, metadata=client.metadata) == snapshot


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "query"),
        ({"content": b"x", "min_similarity": float("nan")}, "min_similarity"),
        ({"content": b"x", "max_results": -1}, "max_results"),
        ({"content": b"x", "labels": ["a"], "unlabelled_only": True}, "unlabelled_only"),
        ({"image": "projects/another/datasets/train/images/x"}, "image"),
        ({"content": b"no picture"}, "images[0]"),
    ],
)
async def test_bad_searches_name_the_field(client: Client, dataset: str, fields: dict[str, object], field: str) -> None:
    reason = "IMAGE_UNREADABLE" if field == "images[0]" else "INVALID_FIELD"
    with Failure(grpc.StatusCode.INVALID_ARGUMENT, reason) as failure:
        await client.find(dataset, **fields)
    assert failure.fields == [field]


async def test_bad_requests_name_the_field(client: Client, dataset: str) -> None:
    (image,) = await client.add(dataset, Sample("a.png", picture(RED, 130), ()))
    requests: list[tuple[str, Message, str]] = [
        ("LabelLike", pb.LabelLikeRequest(example=image.name), "min_similarity"),
        ("LabelLike", pb.LabelLikeRequest(example=image.name, images=[image.name.replace("p-", "q-")]), "images[0]"),
        ("OrderForLabelling", pb.OrderForLabellingRequest(parent=dataset, strategy=UNCERTAINTY), "deployment"),
        (
            "ListNearDuplicates",
            pb.ListNearDuplicatesRequest(parent=dataset.partition("/datasets")[0], min_similarity=2),
            "min_similarity",
        ),
    ]
    for method, request, field in requests:
        with Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
            await getattr(client.similarity, method)(request, metadata=client.metadata)
        assert failure.fields == [field]
    with Failure(grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE"):
        await client.label_like(image.name, min_similarity=0.5)
    with Failure(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        await client.find("projects/nothing", content=picture(RED))


def test_tables_are_what_the_code_believes_in(client: Client, database_url: str) -> None:
    found = [
        difference for difference in differences(database_url, EmbeddingRow.metadata) if "embedding" in str(difference)
    ]
    assert found == []
