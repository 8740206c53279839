"""Model versions in the hands of their users, on every real server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sightsmith.api.inference.v1.deployment_service_pb2 import DeleteDeploymentRequest
from sightsmith.client import Client
from sightsmith.client.calls import calling
from tests.e2e.conftest import Command, Shop


def scores_of(sightsmith: Command, project: str, photos: list[Path]) -> dict[str, dict[str, float]]:
    """What a deployment answers: every label with its score, by file."""
    done = sightsmith("predict", project, *photos, "--min-confidence", "0", "--json")
    assert done.code == 0, done.errors
    return {
        answer["file"]: {label["label"]: label.get("confidence", 0.0) for label in answer["labels"]}
        for answer in done.json["predictions"]
    }


@pytest.fixture
def some_photos(shop: Shop) -> list[Path]:
    return sorted(shop.photos.rglob("*.jpg"))[::10] or sorted(shop.photos.rglob("*.png"))[::10]


def test_an_exported_folder_gives_the_service_s_scores(
    sightsmith: Command, shop: Shop, some_photos: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "exported"
    done = sightsmith("models", "export", shop.project, shop.model, folder, "--json")
    assert done.code == 0, done.errors
    answer = subprocess.run(
        [sys.executable, str(folder / "predict.py"), *map(str, some_photos)], capture_output=True, text=True, check=True
    )
    told: dict[str, dict[str, float]] = {str(photo): {} for photo in some_photos}
    for line in answer.stdout.splitlines():
        path, label, score = line.split("\t")
        told[path][label] = float(score)
    served = scores_of(sightsmith, shop.project, some_photos)
    assert served.keys() == told.keys()
    for path, scores in served.items():
        thresholds = json.loads((folder / "thresholds.json").read_text())
        best = max(scores, key=lambda label: scores[label])
        holds = scores[best] >= thresholds.get(best, 0)
        assert told[path] == pytest.approx({best: scores[best]} if holds else {}, abs=1e-5)
    card = (folder / "model_card.md").read_text()
    assert f"# {shop.model}" in card
    assert "| astronaut | 11 | 3 | 0 | 0 |" in card
    assert "Apache-2.0" in card


def test_a_copy_is_served_like_the_original(
    sightsmith: Command, client: Client, shop: Shop, some_photos: list[Path]
) -> None:
    client.ensure_project("branch")
    done = sightsmith("models", "copy", shop.project, shop.model, "branch", "--json")
    assert done.code == 0, done.errors
    copy = done.json["name"]
    deployed = sightsmith("deploy", "branch", copy, "--json")
    assert deployed.code == 0, deployed.errors
    assert deployed.json["serving_model"] == copy
    assert deployed.json["triton_model"].startswith("branch.")
    original = scores_of(sightsmith, shop.project, some_photos)
    for path, scores in scores_of(sightsmith, "branch", some_photos).items():
        assert scores == pytest.approx(original[path], abs=1e-6)
    with calling():
        client.deployments.DeleteDeployment(DeleteDeploymentRequest(name=deployed.json["name"]))
    done = sightsmith("models", "delete", "branch", copy, "--yes", "--json")
    assert done.code == 0, done.errors
    assert client.model(shop.model).name == shop.model


def test_a_deployed_model_is_not_deleted(sightsmith: Command, client: Client, shop: Shop) -> None:
    done = sightsmith("models", "delete", shop.project, shop.model, "--yes", "--json")
    assert done.code == 1
    error = json.loads(done.errors)["error"]
    assert error["reason"] == "IN_USE"
    assert f"projects/{shop.project}/deployments/live" in error["metadata"]["deployments"].split(",")
    assert client.model(shop.model).artifacts
