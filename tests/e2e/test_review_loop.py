"""What a deployed model is asked comes back as labelled images: by the review queue, and by suggestions."""

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from sightsmith.api.labeling.v1 import labeling_service_pb2
from sightsmith.api.labeling.v1.annotation_pb2 import Annotation
from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TRAIN
from sightsmith.api.labeling.v1.review_item_pb2 import ReviewItem
from sightsmith.api.labeling.v1.suggestion_pb2 import Suggestion
from sightsmith.client import Client
from sightsmith.client.calls import calling
from sightsmith.client.uploads import ImageToUpload
from sightsmith.names import DatasetName
from tests.e2e.conftest import Command, Shop

SECONDS = 60


@pytest.fixture
def fresh_photo(shop: Shop, tmp_path: Path) -> Path:
    """A photo that no dataset has: a cat, looking the other way."""
    photo = tmp_path / "mirrored.png"
    ImageOps.mirror(Image.open(shop.photos / "cat" / "00.jpg")).save(photo)
    return photo


@pytest.fixture
def made(client: Client) -> Iterator[list[str]]:
    """Names of images that a test has made; they go when it ends, because other tests count the shop's images."""
    names: list[str] = []
    yield names
    for name in names:
        with calling():
            client.labeling.DeleteImage(labeling_service_pb2.DeleteImageRequest(name=name))


def test_a_sampled_prediction_becomes_a_labelled_image(
    sightsmith: Command, client: Client, shop: Shop, fresh_photo: Path, made: list[str]
) -> None:
    model = shop.model.rpartition("/")[2]
    done = sightsmith("deploy", shop.project, model, "--name", "watched", "--sample-share", "1", "--json")
    assert done.code == 0, done.errors
    assert done.json["sampling"] == {"share": 1.0}
    done = sightsmith("predict", shop.project, fresh_photo, "--deployment", "watched", "--json")
    assert done.code == 0, done.errors

    deadline = time.monotonic() + SECONDS
    while not (claimed := sightsmith("review", "claim", shop.project, "--reviewer", "ann", "--json").json)[
        "review_items"
    ]:
        assert time.monotonic() < deadline, "no review item"
        time.sleep(0.5)
    (item,) = claimed["review_items"]
    assert (item["state"], item["reason"]) == ("STATE_IN_REVIEW", "REASON_RANDOM")
    assert item["deployment"] == f"projects/{shop.project}/deployments/watched"
    assert item["model"] == shop.model
    assert item["predictions"][0]["label"] == "cat"
    assert client.reviews.download(item["name"]) == fresh_photo.read_bytes()

    number = item["name"].rpartition("/")[2]
    done = sightsmith("review", "submit", shop.project, number, "--label", "cat", "--reviewer", "ann", "--json")
    assert done.code == 0, done.errors
    assert done.json["state"] == "STATE_ACCEPTED"
    made.append(done.json["image"])
    image = client.labeling.GetImage(labeling_service_pb2.GetImageRequest(name=done.json["image"]))
    assert image.name.startswith(f"projects/{shop.project}/datasets/train/")
    assert [(one.label, one.origin, one.author) for one in image.annotations] == [
        ("cat", Annotation.ORIGIN_PERSON, "ann")
    ]
    assert client.download(image.name) == fresh_photo.read_bytes()
    # Off again: asking leaves no trace.
    done = sightsmith("deploy", shop.project, "--name", "watched", "--sample-share", "0", "--json")
    assert done.code == 0, done.errors
    assert "sampling" not in done.json


def test_suggestions_become_labels(
    sightsmith: Command, client: Client, shop: Shop, tmp_path: Path, made: list[str]
) -> None:
    files = {}
    for label in ("cat", "temple"):
        files[label] = tmp_path / f"{label}.jpg"
        with Image.open(shop.photos / label / "01.jpg") as photo:
            buffer = io.BytesIO()
            ImageOps.mirror(photo).save(buffer, "JPEG", quality=90)
        files[label].write_bytes(buffer.getvalue())
    client.ensure_dataset(shop.project, SPLIT_TRAIN)
    uploads = [ImageToUpload(file, file.name, ()) for file in files.values()]
    answers = list(client.upload(DatasetName(shop.project, "train"), uploads, _fail))
    images = {answer.source.removesuffix(".jpg"): answer.image.name for answer in answers}
    made.extend(images.values())

    done = sightsmith("suggest", shop.project, "--deployment", "live", "--min-confidence", "0.5", "--json")
    assert done.code == 0, done.errors
    assert (done.json["image_count"], done.json["state"]) == ("2", "JOB_STATE_SUCCEEDED")
    done = sightsmith("suggestions", "list", shop.project, "--order", "least-confident", "--json")
    found = {one["image"]: one["label"] for one in done.json["suggestions"]}
    assert found == {images[label]: label for label in files}

    done = sightsmith("suggestions", "accept", shop.project, "--min-confidence", "0.5", "--dry-run", "--json")
    assert done.json["suggestion_count"] == "2"
    done = sightsmith("suggestions", "accept", shop.project, "--min-confidence", "0.5", "--json")
    assert done.code == 0, done.errors
    for label, name in images.items():
        image = client.labeling.GetImage(labeling_service_pb2.GetImageRequest(name=name))
        assert [(one.label, one.origin, one.author) for one in image.annotations] == [
            (label, Annotation.ORIGIN_MODEL, shop.model)
        ]


def _fail(image: ImageToUpload, error: OSError) -> None:
    raise error


def test_the_commands_of_people_who_disagree(
    sightsmith: Command, client: Client, shop: Shop, tmp_path: Path, made: list[str]
) -> None:
    def review(command: str, *arguments: str, **environment: str) -> Any:
        done = sightsmith("review", command, shop.project, *arguments, "--json", **environment)
        assert done.code == 0, done.errors
        return done.json

    assert review("policy", "--required", "2") == {"required_reviews": 2}
    with Image.open(shop.photos / "coffee" / "02.jpg") as photo:
        buffer = io.BytesIO()
        ImageOps.mirror(photo).save(buffer, "JPEG", quality=90)
    item = client.reviews.request(shop.project, buffer.getvalue(), ReviewItem(model="elsewhere"))
    number = item.name.rpartition("/")[2]
    assert review("assign", number, "--reviewer", "ann")["review_items"][0]["state"] == "STATE_IN_REVIEW"
    assert review("release", number, "--reviewer", "ann")["review_items"][0]["state"] == "STATE_PENDING"
    (claimed,) = review("claim", "--save-to", str(tmp_path), SIGHTSMITH_ACTOR="ann")["review_items"]
    assert (claimed["name"], (tmp_path / number).read_bytes()) == (item.name, buffer.getvalue())
    review("submit", number, "--label", "coffee", SIGHTSMITH_ACTOR="ann")
    assert review("submit", number, "--none", "--comment", "a tea", "--reviewer", "bob")["state"] == "STATE_DISPUTED"
    (listed,) = review("list", "--state", "disputed")["review_items"]
    assert [one["reviewer"] for one in listed["reviews"]] == ["ann", "bob"]
    settled = review("resolve", number, "--box", "cup=1,2,30,40", SIGHTSMITH_ACTOR="judge")
    assert (settled["state"], settled["decider"]) == ("STATE_ACCEPTED", "judge")
    made.append(settled["image"])
    (pair,) = review("agreement")["pairs"]
    # JSON leaves out what is 0.
    assert (pair["reviewer"], pair["other_reviewer"], pair.get("percent_agreement", 0)) == ("ann", "bob", 0)
    review("policy", "--required", "1")

    suggested = Suggestion(image=settled["image"], label="tea", confidence=0.5, model="elsewhere")
    wrong = Suggestion(image=settled["image"], label="milk", confidence=0.4, model="elsewhere")
    tea, milk = (one.name.rpartition("/")[2] for one in client.suggestions.bring(shop.project, [suggested, wrong]))
    done = sightsmith("suggestions", "correct", shop.project, tea, "--label", "coffee", "--json")
    assert done.json["suggestion"]["corrected_label"] == "coffee"
    assert done.json["image"]["labels"] == ["coffee"]
    done = sightsmith("suggestions", "reject", shop.project, milk, "--json")
    assert done.json["suggestion_count"] == "1"
    assert sightsmith("suggestions", "reject", shop.project).code == 2
