"""Predictions with the command line and the client, beyond single files."""

import hashlib
import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sightsmith.api.inference.v1.prediction_service_pb2 import ImageReference
from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TRAIN
from sightsmith.client import Client, SightsmithError
from sightsmith.client.uploads import ImageToUpload
from sightsmith.names import DatasetName
from sightsmith.rpc.status import from_status
from tests.e2e.conftest import Command, Shop


def test_a_folder(sightsmith: Command, shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    shutil.copy(shop.photos / "cat" / "00.jpg", tmp_path / "deeper" / "cat.jpg")
    shutil.copy(shop.photos / "coffee" / "00.jpg", tmp_path / "coffee.JPG")
    (tmp_path / "notes.txt").write_text("no image")
    done = sightsmith("predict", shop.project, tmp_path, "--json")
    assert done.code == 0, done.errors
    found = {Path(answer["file"]).name: answer["labels"][0]["label"] for answer in done.json["predictions"]}
    assert found == {"coffee.JPG": "coffee", "cat.jpg": "cat"}


def test_wanted_labels(sightsmith: Command, shop: Shop) -> None:
    cat = shop.photos / "cat" / "00.jpg"
    done = sightsmith(
        "predict", shop.project, cat, "--min-confidence", "0", "--label", "coffee", "--label", "flower", "--json"
    )
    assert sorted(found["label"] for found in done.json["predictions"][0]["labels"]) == ["coffee", "flower"]
    wrong = sightsmith("predict", shop.project, cat, "--label", "dog")
    assert wrong.code == 1
    assert "'dog'" in wrong.errors


def test_a_video(sightsmith: Command, shop: Shop, tmp_path: Path) -> None:
    video = tmp_path / "cat.avi"
    cat = np.asarray(Image.open(shop.photos / "cat" / "00.jpg").convert("RGB"))[:, :, ::-1]
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 4, (cat.shape[1], cat.shape[0]))
    for _ in range(12):
        writer.write(np.ascontiguousarray(cat))
    writer.release()
    done = sightsmith("predict", shop.project, "--video", video, "--every", "1s")
    assert done.code == 0, done.errors
    lines = [json.loads(line) for line in done.output.splitlines()]
    assert [(line["time"], line["frame"]) for line in lines] == [
        ("00:00:00.000", 0),
        ("00:00:01.000", 4),
        ("00:00:02.000", 8),
    ]
    assert all(line["labels"][0]["label"] == "cat" and line["model"] == shop.model for line in lines)


def test_images_of_the_project_need_not_be_sent(client: Client, shop: Shop) -> None:
    cat = (shop.photos / "cat" / "00.jpg").read_bytes()
    own = ImageReference(sha256=hashlib.sha256(cat).hexdigest())
    sent = client.predict(shop.project, "live", cat, min_confidence=0)
    assert client.predict(shop.project, "live", own, min_confidence=0) == sent
    answers = client.predict_stream(shop.project, "live", [("sent", cat), ("named", own)], min_confidence=0)
    assert [list(answer.predictions) for answer in answers] == [list(sent.predictions)] * 2


def test_images_of_other_projects_are_not_there(client: Client, shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "secret.png"
    Image.new("RGB", (32, 32), (12, 34, 56)).save(file)
    client.ensure_project("elsewhere")
    dataset = client.ensure_dataset("elsewhere", SPLIT_TRAIN)
    assert list(client.upload(DatasetName.parse(dataset.name), [ImageToUpload(file, "secret")], _refuse))
    theirs = ImageReference(sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    with pytest.raises(SightsmithError) as raised:
        client.predict(shop.project, "live", theirs)
    assert raised.value.reason == "NOT_FOUND"
    (answer,) = client.predict_stream(shop.project, "live", [("theirs", theirs)])
    assert from_status(answer.error).reason == "NOT_FOUND"
    (refused,) = client.predict_stream(shop.project, "live", [("no place", ImageReference(url=file.as_uri()))])
    assert "SIGHTSMITH_PREDICTION_SOURCES" in refused.error.message


def test_a_stream_is_ended_by_its_caller(client: Client, shop: Shop) -> None:
    cat = (shop.photos / "cat" / "00.jpg").read_bytes()
    taken = 0

    def endless() -> Iterator[tuple[str, bytes]]:
        nonlocal taken
        for taken in itertools.count():
            yield str(taken), cat

    answers = client.predict_stream(shop.project, "live", endless())
    assert [next(answers).id for _ in range(3)] == ["0", "1", "2"]
    answers.close()
    assert taken < 10_000


def test_images_that_fail_to_come_end_a_stream_with_their_own_error(client: Client, shop: Shop) -> None:
    def failing() -> Iterator[tuple[str, bytes]]:
        yield "first", (shop.photos / "cat" / "00.jpg").read_bytes()
        raise FileNotFoundError("the second is gone")

    with pytest.raises(FileNotFoundError, match="the second is gone"):
        list(client.predict_stream(shop.project, "live", failing()))


def _refuse(image: ImageToUpload, error: OSError) -> None:
    raise error
