"""The way of a mistake: sampled, reviewed, corrected, learned from, proposed, accepted."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from sightsmith.api.labeling.v1 import labeling_service_pb2
from sightsmith.client import Client
from sightsmith.client.calls import calling
from tests.e2e.conftest import Command, Shop

SECONDS = 60


def test_a_corrected_prediction_makes_a_model_that_is_proposed(
    sightsmith: Command, client: Client, shop: Shop, tmp_path: Path
) -> None:
    def done(*arguments: str | Path) -> Any:
        finished = sightsmith(*arguments, "--json")
        assert finished.code == 0, finished.errors
        return finished.json

    photo = tmp_path / "flipped.png"
    ImageOps.flip(Image.open(shop.photos / "cat" / "02.jpg")).save(photo)
    done("deploy", shop.project, shop.model.rpartition("/")[2], "--name", "learning", "--sample-share", "1")
    done("predict", shop.project, photo, "--deployment", "learning")
    (item,) = _eventually(lambda: done("review", "claim", shop.project, "--reason", "random")["review_items"])
    answered = [seen["label"] for seen in item["predictions"] if seen.get("answered")]
    assert len(answered) == 1

    # Whatever it said, people see something else.
    number, truth = item["name"].rpartition("/")[2], "temple" if answered == ["cat"] else "cat"
    settled = done("review", "submit", shop.project, number, "--label", truth)
    assert settled["corrected"] is True
    figures = done("deployments", "figures", shop.project, "learning")
    assert figures["model"] == shop.model
    assert figures["test"]["macro_f1"] > 0
    assert figures["production"].get("precision", 0) == 0
    assert 0.5 < figures["production"]["upper_bound"] < 1
    assert figures["production"]["strata"] == [
        {
            "reason": "REASON_RANDOM",
            "sampled_count": "1",
            "reviewed_count": "1",
            "corrected_count": "1",
            "estimated_prediction_count": 1.0,
        }
    ]
    corrections = lambda: done("deployments", "retraining-policy", shop.project, "learning").get("correction_count")  # noqa: E731
    assert _eventually(corrections) == "1"

    retrained = done("retrain", shop.project, "learning", "--effort", "fast")
    assert (retrained["state"], retrained["baseline"]) == ("STATE_PROPOSED", shop.model)
    assert retrained["comparison"]["image_count"] != "0"
    deployment = done("deployments", "show", shop.project, "learning")
    assert deployment["proposal"]["model"] == retrained["model"] != shop.model
    assert deployment["serving_model"] == shop.model
    accepted = done("deployments", "accept", shop.project, "learning")
    assert accepted["serving_model"] == retrained["model"]
    assert "proposal" not in accepted

    # Other tests go on from what was there before.
    done("deployments", "delete", shop.project, "learning", "--yes")
    client.models.delete(retrained["model"])
    with calling():
        client.labeling.DeleteImage(labeling_service_pb2.DeleteImageRequest(name=settled["image"]))


def _eventually(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return found
