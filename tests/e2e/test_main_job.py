"""The main job with the command line, on every real server: labelled folder in, served model out."""

from pathlib import Path

import pytest
from PIL import Image

from sightsmith.api.training.v1.training_job_pb2 import TrainingJob
from sightsmith.client import Client
from tests.e2e.conftest import Command, Shop

LABELS = ["astronaut", "cat", "coffee", "flower", "temple"]


def test_importing_again_changes_nothing(sightsmith: Command, shop: Shop) -> None:
    done = sightsmith("import", shop.project, shop.photos, "--json")
    assert done.code == 0, done.errors
    assert (done.json["created"], done.json["unchanged"], done.json["rejected"]) == (0, 70, [])
    assert done.json["labels"] == dict.fromkeys(LABELS, 14)


def test_the_model_says_where_it_comes_from_and_how_good_it_is(sightsmith: Command, shop: Shop) -> None:
    done = sightsmith("models", shop.project, "--json")
    assert done.code == 0, done.errors
    model = next(model for model in done.json["models"] if model["name"] == shop.model)
    assert model["labels"] == LABELS
    assert model["snapshot"] == f"projects/{shop.project}/snapshots/1"
    assert model["evaluation"]["accuracy"] > 0.8
    assert model["library_versions"]["torch"]
    assert model["candidates"][0]["backbones"]


def test_both_exports_agree_with_the_trained_network(client: Client, shop: Shop) -> None:
    parity = client.model(shop.model).parity
    assert parity.image_count == 15
    assert parity.label_agreement == 1
    assert max(parity.onnx_difference, parity.torchscript_difference) <= parity.tolerance


def test_both_exports_lie_in_the_triton_layout(client: Client, shop: Shop) -> None:
    paths = {(artifact.format, artifact.path) for artifact in client.model(shop.model).artifacts}
    assert paths == {(1, "config.pbtxt"), (1, "1/model.onnx"), (2, "config.pbtxt"), (2, "1/model.pt")}


def test_evaluation_is_shown_with_a_contact_sheet(sightsmith: Command, shop: Shop, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    done = sightsmith("evaluate", shop.project, "--contact-sheet", sheet, "--json")
    assert done.code == 0, done.errors
    evaluation = done.json["evaluation"]
    assert [metrics["label"] for metrics in evaluation["label_metrics"]] == LABELS
    assert evaluation["basis"] == "BASIS_TEST"
    assert int(evaluation["image_count"]) == 15
    right = sum(image["true_label"] == image["predicted_label"] for image in done.json["evaluated_images"])
    assert right / 15 == pytest.approx(evaluation["summary"]["accuracy"])
    assert Image.open(sheet).width > 500


def test_judged_by_its_snapshot_again_the_model_is_as_good_on_what_it_did_not_learn_from(
    sightsmith: Command, client: Client, shop: Shop
) -> None:
    model = shop.model.rpartition("/")[2]
    done = sightsmith("models", "evaluate", shop.project, model, "--snapshot", "1", "--json")
    assert done.code == 0, done.errors
    told = done.json["evaluation"]
    assert (int(told["image_count"]), int(told["left_out"]["learned_image_count"])) == (15, 55)
    assert told["summary"]["accuracy"] == client.evaluation(shop.model).summary.accuracy
    own = {image.image: image for image in client.evaluations.images(shop.model)}
    for image in client.evaluations.images(told["name"]):
        assert image.scores == pytest.approx(own[image.image].scores, abs=1e-4)


@pytest.mark.parametrize("runtime", ["onnx", "torchscript"])
def test_the_served_model_answers_like_the_trained_network(
    sightsmith: Command, client: Client, shop: Shop, runtime: str
) -> None:
    done = sightsmith("deploy", shop.project, "--name", f"by-{runtime}", "--runtime", runtime, "--json")
    assert done.code == 0, done.errors
    labels = client.model(shop.model).labels
    judged = list(client.evaluated_images(shop.model))
    images = [client.download(image.image) for image in judged]
    results = list(client.predict_many(shop.project, f"by-{runtime}", images, min_confidence=0))
    for image, result in zip(judged, results, strict=True):
        scores = {found.label: found.confidence for found in result.predictions}
        assert result.predictions[0].label == image.predicted_label
        assert [scores[label] for label in labels] == pytest.approx(image.scores, abs=1e-4)


def test_predict_prints_a_label_for_each_file(sightsmith: Command, shop: Shop, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    cat = shop.photos / "cat" / "00.jpg"
    done = sightsmith("predict", shop.project, cat, broken, "--json")
    assert done.code == 1
    good, bad = done.json["predictions"]
    assert [found["label"] for found in good["labels"]] == ["cat"]
    assert bad["error"]["reason"] == "IMAGE_UNREADABLE"


def test_max_results_and_min_confidence(sightsmith: Command, shop: Shop) -> None:
    cat = shop.photos / "cat" / "00.jpg"
    all_labels = sightsmith("predict", shop.project, cat, "--min-confidence", "0", "--json").json["predictions"][0]
    assert sorted(found["label"] for found in all_labels["labels"]) == LABELS
    assert sum(found.get("confidence", 0) for found in all_labels["labels"]) == pytest.approx(1, abs=1e-4)
    two = sightsmith("predict", shop.project, cat, "--min-confidence", "0", "--max-results", "2", "--json")
    assert two.json["predictions"][0]["labels"] == all_labels["labels"][:2]


def test_the_same_snapshot_and_seed_give_the_same_model(client: Client, shop: Shop) -> None:
    first = client.model(shop.model)
    job = client.wait_for_training(
        client.train(
            shop.project, first.snapshot, seed=first.seed, wishes=TrainingJob(effort=TrainingJob.EFFORT_FAST)
        ).name
    )
    second = client.model(job.model)
    assert second.name != first.name
    hashes = [
        {artifact.path: artifact.sha256 for artifact in model.artifacts if artifact.path == "1/model.onnx"}
        for model in (first, second)
    ]
    assert hashes[0] == hashes[1]
