"""Part `similarity`: finding similar images among many."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TRAIN
from sightsmith.client import Client
from sightsmith.names import DatasetName, ImageName
from sightsmith_labeling.embeddings.sketches import Vectors, directions, sketches, vector_text
from sightsmith_labeling.embeddings.store import DEFAULT_BACKBONE, read_vector
from tests.perf.figures import Measured
from tests.perf.progress import tell
from tests.perf.workplace import import_photos, running_stack, wait_for_embeddings

_IMAGES = 100_000
_PROJECT = "many"
_BLOCK = 5_000
_QUERIES = 300
_JUDGED = 100
_RESULTS = 10
# What a mean of activations between 0 and 6 is at most.
_LARGEST = 6


def measure(photos: Path) -> Measured:
    """Searches among 100,000 images whose embeddings are mixed from those of real photographs."""
    with running_stack() as (endpoints, client):
        import_photos(client, photos)
        wait_for_embeddings(client)
        url = make_url(endpoints.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
        client.ensure_project(_PROJECT)
        dataset = DatasetName.parse(client.ensure_dataset(_PROJECT, SPLIT_TRAIN).name)
        with psycopg.connect(url, autocommit=True) as database:
            _load(database, dataset, _mixed(_photo_vectors(database)))
            found, seconds = _search(client, dataset)
            recall = _recall(database, found)
    return {
        "labeling.similar_100k_p50_ms": 1000 * float(np.percentile(seconds, 50)),
        "labeling.similar_100k_p95_ms": 1000 * float(np.percentile(seconds, 95)),
        "labeling.similar_100k_recall": recall,
    }


def _photo_vectors(database: psycopg.Connection) -> Vectors:
    rows = database.execute("SELECT vector FROM labeling.embeddings ORDER BY sha256").fetchall()
    return np.stack([read_vector(vector) for (vector,) in rows])


def _mixed(photos: Vectors) -> Iterator[Vectors]:
    """Each of two photographs in some proportion, with noise: as varied as real ones, and none like another."""
    chance = np.random.default_rng(0)
    for _ in range(_IMAGES // _BLOCK):
        first, second = (photos[chance.integers(0, len(photos), _BLOCK)] for _ in range(2))
        share = chance.uniform(0.55, 1, (_BLOCK, 1)).astype(np.float32)
        noise = np.exp(chance.normal(0, 0.25, first.shape)).astype(np.float32)
        yield np.minimum((share * first + (1 - share) * second) * noise, _LARGEST)


def _load(database: psycopg.Connection, dataset: DatasetName, blocks: Iterator[Vectors]) -> None:
    """Writes rows as the service would have done, and its index at once at the end, which is much quicker."""
    tell(f"loading {_IMAGES} embeddings")
    (key,) = database.execute(
        "SELECT key FROM labeling.datasets WHERE project = %s AND id = %s", (dataset.project, dataset.dataset)
    ).fetchone() or (None,)
    (index,) = database.execute("SELECT pg_get_indexdef('labeling.ix_embeddings_sketch'::regclass)").fetchone() or ("",)
    database.execute("DROP INDEX labeling.ix_embeddings_sketch")
    for number, block in enumerate(blocks):
        ids = [f"{number * _BLOCK + row:064x}" for row in range(len(block))]
        columns = "sha256, backbone, vector, direction, sketch"
        with database.cursor().copy(f"COPY labeling.embeddings ({columns}) FROM STDIN") as rows:
            for sha256, vector, direction, sketch in zip(ids, block, directions(block), sketches(block), strict=True):
                texts = vector_text(direction), vector_text(sketch)
                rows.write_row((sha256, DEFAULT_BACKBONE, vector.tobytes(), *texts))
        columns = "dataset, id, sha256, source, width, height, size_bytes, media_type, create_time"
        with database.cursor().copy(f"COPY labeling.images ({columns}) FROM STDIN") as rows:
            for sha256 in ids:
                rows.write_row((key, sha256[-20:], sha256, sha256, 64, 64, 1000, "image/jpeg", "2026-01-01"))
    database.execute("TRUNCATE labeling.embedding_queue")
    tell("building the index")
    begin = time.monotonic()
    database.execute("SET maintenance_work_mem = '512MB'")
    database.execute(sql.SQL(index))
    database.execute("VACUUM ANALYZE labeling.embeddings, labeling.images")
    tell(f"built in {time.monotonic() - begin:.0f} s")


def _search(client: Client, dataset: DatasetName) -> tuple[dict[str, list[str]], list[float]]:
    """Searches for what is like images that are there; SHA-256s found by that of the image, and seconds of each."""
    tell(f"searching {_QUERIES} times")
    chosen = [f"{number:064x}" for number in np.random.default_rng(1).integers(0, _IMAGES, _QUERIES)]
    found: dict[str, list[str]] = {}
    seconds = []
    for sha256 in chosen:
        name = str(ImageName(dataset.project, dataset.dataset, sha256[-20:]))
        begin = time.monotonic()
        similar = client.similarity.find(str(dataset), name, max_results=_RESULTS)
        seconds.append(time.monotonic() - begin)
        found[sha256] = [result.image.sha256 for result in similar]
    return found, seconds


def _recall(database: psycopg.Connection, found: dict[str, list[str]]) -> float:
    """The share of the truly most similar images that were found, by comparing with all."""
    tell("comparing with every embedding")
    names, vectors = [], []
    with database.transaction(), database.cursor("all") as rows:
        rows.execute("SELECT e.sha256, vector FROM labeling.embeddings e WHERE sha256 < '0000000001'")
        for sha256, vector in rows:
            names.append(sha256)
            vectors.append(read_vector(vector))
    every = directions(np.stack(vectors))
    place = {sha256: row for row, sha256 in enumerate(names)}
    shares = []
    for sha256 in list(found)[:_JUDGED]:
        scores = every @ every[place[sha256]]
        scores[place[sha256]] = -1
        best = {names[row] for row in np.argsort(-scores)[:_RESULTS]}
        shares.append(len(best & set(found[sha256])) / _RESULTS)
    return float(np.mean(shares))
