"""Batch predictions by the command line, and their way back to labeling as suggestions."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from sightsmith.api.labeling.v1 import labeling_service_pb2
from sightsmith.client import Client
from sightsmith.client.calls import calling
from sightsmith.client.uploads import ImageToUpload
from sightsmith.names import DatasetName
from tests.e2e.conftest import Command, Shop


@pytest.fixture
def unlabelled(client: Client, shop: Shop, tmp_path: Path) -> Iterator[str]:
    """An image of a cat that nobody has labelled; it goes when the test ends, because others count the images."""
    path = tmp_path / "cat.jpg"
    with Image.open(shop.photos / "cat" / "02.jpg") as photo:
        buffer = io.BytesIO()
        ImageOps.mirror(photo).save(buffer, "JPEG", quality=90)
    path.write_bytes(buffer.getvalue())
    (answer,) = client.upload(DatasetName(shop.project, "train"), [ImageToUpload(path, path.name)], _fail)
    yield answer.image.name
    with calling():
        client.labeling.DeleteImage(labeling_service_pb2.DeleteImageRequest(name=answer.image.name))


def test_results_become_suggestions(
    sightsmith: Command, client: Client, shop: Shop, unlabelled: str, tmp_path: Path
) -> None:
    dataset = str(DatasetName(shop.project, "train"))
    done = sightsmith("batch", "create", shop.project, dataset, "--json")
    assert done.code == 0, done.errors
    count = sum(1 for _ in client.images.list(dataset))
    assert (done.json["state"], done.json["progress"]["answered_count"]) == ("STATE_SUCCEEDED", str(count))
    job = done.json["name"].rpartition("/")[2]
    assert done.json["name"] in [one.name for one in client.batch_predictions.list(shop.project)]
    done = sightsmith("batch", "results", shop.project, job, "--to", tmp_path / "results", "--json")
    assert done.code == 0, done.errors

    lines = (tmp_path / "results" / "results.jsonl").read_text().splitlines()
    assert len(lines) == count
    (line,) = (line for line in lines if json.loads(line)["image"] == unlabelled)
    (tmp_path / "one.jsonl").write_text(line)
    done = sightsmith(
        "suggestions", "import", shop.project, tmp_path / "one.jsonl", "--min-confidence", "0.1", "--json"
    )
    assert done.code == 0, done.errors
    assert done.json == {"suggestion_count": 1, "known_count": 0, "images": 1, "unknown": 0, "unanswered": 0}
    (suggested,) = client.suggestions.list(shop.project)
    assert (suggested.image, suggested.label, suggested.model) == (unlabelled, "cat", shop.model)


def _fail(image: ImageToUpload, error: OSError) -> None:
    raise error
