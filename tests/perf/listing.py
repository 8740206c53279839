"""Part `labeling`: lists of a dataset of 250,000 images, and what is done to all images of a label."""

import hashlib
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg

from sightsmith.api.labeling.v1.annotation_pb2 import Annotation
from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TRAIN
from sightsmith.api.labeling.v1.image_pb2 import Image
from sightsmith.api.labeling.v1.labeling_service_pb2 import ImageFilter, ListImagesRequest
from sightsmith.client import Client
from sightsmith.paging import PageRequest, page_of
from sightsmith_labeling.page_keys import position_key
from tests.perf.figures import Measured
from tests.perf.progress import tell
from tests.perf.workplace import PROJECT, running_stack

_IMAGES = 250_000
_LABELS = 50
_PAGE_SIZE = 100
_PAGES_OF_EACH_FILTER = 20
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
# Who labelled an image, and how often that is: an import, two people, a model.
_MAKERS = (("import", "imports/1"), ("person", "ann"), ("person", "ben"), ("model", "models/v1"))
_MAKER_WEIGHTS = (70, 20, 8, 2)
_COPY = """
COPY labeling.images (dataset, id, state, sha256, source, width, height, size_bytes, media_type, annotations,
    last_annotation, problems, create_time, update_time) FROM STDIN
"""


@dataclass(frozen=True)
class _Place:
    """An image that a page may begin after."""

    time: datetime
    source: str
    sequence: int


def measure() -> Measured:
    """Fills a dataset, reads random pages of it under every filter and order, and merges and renames a label."""
    # Without the worker: it would look for the bytes of images that have none, all the time.
    with running_stack(["postgres", "nats", "labeling"]) as (endpoints, client):
        client.ensure_project(PROJECT)
        dataset = client.ensure_dataset(PROJECT, SPLIT_TRAIN).name
        url = endpoints.database_url.replace("postgresql+psycopg", "postgresql")
        with psycopg.connect(url, autocommit=True) as connection:
            tell(f"filling a dataset with {_IMAGES} images")
            places = _fill(connection)
        tell("reading random pages")
        milliseconds = _read_pages(client, dataset, places)
        tell("renaming and merging a label")
        return {
            "labeling.list_250k_p50_ms": float(np.percentile(milliseconds, 50)),
            "labeling.list_250k_p95_ms": float(np.percentile(milliseconds, 95)),
            **_measure_labels(client),
        }


def _fill(connection: psycopg.Connection) -> Sequence[_Place]:
    with connection.transaction():
        (dataset,) = _one(connection, "SELECT key FROM labeling.datasets WHERE project = %s", PROJECT)
        insert = "INSERT INTO labeling.labels (project, name) VALUES (%s, %s) RETURNING key"
        labels = [_one(connection, insert, PROJECT, f"label-{number:02}")[0] for number in range(_LABELS)]
        with connection.cursor().copy(_COPY) as copy:
            for row in _rows(dataset, labels):
                copy.write_row(row)
    # What autovacuum does within minutes of such an import.
    connection.execute("VACUUM ANALYZE labeling.images, labeling.image_labels")
    some = "SELECT create_time, source_head, sequence FROM labeling.images TABLESAMPLE SYSTEM (1) REPEATABLE (0)"
    return [_Place(*row) for row in connection.execute(some)]


def _one(connection: psycopg.Connection, query: str, *values: object) -> tuple[int, ...]:
    row = connection.execute(query, values).fetchone()  # type: ignore[call-overload]
    if row is None:
        raise RuntimeError(f"nothing is found by {query}")
    return tuple(row)


def _rows(dataset: int, labels: Sequence[int]) -> Iterator[tuple[object, ...]]:
    """Half of the images label after label, as a folder is imported, and half mixed; frequent labels and rare ones."""
    chance = random.Random(0)
    weights = [1 / (rank + 1) for rank in range(len(labels))]
    folders = [label for label, weight in zip(labels, weights, strict=True) for _ in range(_share_of(weight, weights))]
    for number in range(_IMAGES):
        label = folders[number] if number < len(folders) else chance.choices(labels, weights)[0]
        others = chance.choices(labels, weights, k=chance.choice((0, 0, 0, 1, 4)))
        time_of_arrival = (_BEGIN + timedelta(seconds=number)).isoformat()
        origin, author = chance.choices(_MAKERS, _MAKER_WEIGHTS)[0]
        annotations = [
            {"id": place, "label": one, "origin": origin, "author": author, "time": time_of_arrival}
            | ({"box": [chance.random() * 500, chance.random() * 300, 50, 40]} if chance.random() < 0.4 else {})
            for place, one in enumerate([label, *others], start=1)
        ]
        if chance.random() < 0.1:
            annotations = []
        problem = {"code": "ERROR_INVALID_BOUNDING_BOX", "message": "a box is outside the image", "path": ""}
        problems = [problem] if chance.random() < 0.005 else []
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        is_ready = chance.random() > 0.02
        state, sha256 = ("ready", digest) if is_ready else ("pending", None)
        source = f"s3://pictures/2026/{label:05}/camera-{chance.randrange(40):02}/IMG_{number:06}.jpg"
        yield (
            *(dataset, digest[:20], state, sha256, source, 640, 480, 35_000, "image/jpeg", json.dumps(annotations)),
            *(len(annotations), json.dumps(problems), time_of_arrival, time_of_arrival),
        )


def _share_of(weight: float, weights: Sequence[float]) -> int:
    return int(_IMAGES / 2 * weight / sum(weights))


def _filters() -> Iterator[ImageFilter]:
    yield ImageFilter()
    for labels in (["label-00"], ["label-10"], ["label-49"], ["label-00", "label-20", "label-49"]):
        yield ImageFilter(labels=labels)
    yield ImageFilter(labelled=True)
    yield ImageFilter(labelled=False)
    yield ImageFilter(has_problems=True)
    yield ImageFilter(states=[Image.STATE_PENDING, Image.STATE_FAILED])
    # Frequent, rare, one, none.
    for text in ("IMG_", "camera-07", "IMG_240000", "not there"):
        yield ImageFilter(source_contains=text)
    for origin in (Annotation.ORIGIN_IMPORT, Annotation.ORIGIN_PERSON, Annotation.ORIGIN_MODEL):
        yield ImageFilter(origins=[origin])
    for author in ("ann", "models/v1", "nobody"):
        yield ImageFilter(authors=[author])
    middle = ImageFilter()
    middle.created_after.FromDatetime(_BEGIN + timedelta(seconds=_IMAGES // 2))
    yield middle


def _read_pages(client: Client, dataset: str, places: Sequence[_Place]) -> Sequence[float]:
    chance = random.Random(1)
    milliseconds: list[float] = []
    for wanted in _filters():
        # The order by source is for lists that are looked through, not for every filter: see docs/performance.md.
        orders = ["create_time", "create_time desc", *(["source"] if wanted == ImageFilter() else [])]
        for order_by in orders:
            request = ListImagesRequest(parent=dataset, page_size=_PAGE_SIZE, filter=wanted, order_by=order_by)
            client.labeling.ListImages(request)
            times = []
            for _ in range(_PAGES_OF_EACH_FILTER):
                request.page_token = _token(chance.choice(places), order_by)
                begin = time.perf_counter()
                client.labeling.ListImages(request)
                times.append(1000 * (time.perf_counter() - begin))
            tell(f"{order_by} {str(wanted).strip()}: p95 {np.percentile(times, 95):.1f} ms".replace("\n", " "))
            milliseconds += times
    return milliseconds


def _token(place: _Place, order_by: str) -> str:
    """The token of the page that begins after a place."""
    key = position_key(place.source if order_by == "source" else place.time, place.sequence)
    return page_of([key, key], PageRequest(1, None), key=str)[1]


def _measure_labels(client: Client) -> Measured:
    project = f"projects/{PROJECT}"
    label, into = client.labels.find(project, "label-00"), client.labels.find(project, "label-01")
    begin = time.perf_counter()
    client.labels.rename(label.name, "another name")
    renamed = time.perf_counter()
    client.labels.merge(label.name, into.name)
    merged = time.perf_counter()
    images = sum(count.image_count for count in label.split_counts)
    return {
        "labeling.rename_label_ms": 1000 * (renamed - begin),
        "labeling.merge_images_per_second": images / (merged - renamed),
    }
