"""`sightsmith models evaluation`, `mistakes`, `compare` and `thresholds`."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from click.testing import Result

from sightsmith.client import Client
from tests.integration.training.judged_answers import boxes, one_label

PublishModel = Callable[..., Awaitable[str]]
Run = Callable[..., Result]


@pytest.fixture
async def project(publish_model: PublishModel, new_project: Callable[[], str]) -> str:
    """The id of a project with two classifiers, `v1` and `v2`, and a detector, `v3`."""
    id_ = new_project()
    for answers in (one_label(1, skill=0.5), one_label(2, skill=5.0), boxes(3)):
        await publish_model(id_, {"onnx": b"onnx"}, judged=answers)
    return id_


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def json_of(done: Result) -> Any:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_an_evaluation_is_shown_with_what_would_help(run: Run, client: Client, project: str) -> None:
    told = client.evaluation(f"projects/{project}/models/v1")
    shown = run("models", "evaluation", project, "v1").stdout
    assert "judged by 60 test images" in shown
    interval = told.macro_f1_interval
    assert f"{told.summary.macro_f1:.3f}" in shown
    assert f"{interval.lower:.3f} … {interval.upper:.3f}" in shown
    assert all(piece.text[:40] in shown for piece in told.advice)
    assert json_of(run("models", "evaluation", project, "v1", "--json"))["image_count"] == "60"
    shown = run("models", "evaluation", project).stdout
    assert f"{told.summary.macro_f1:.3f}" not in shown, "the latest model is another one"
    assert "mAP50-95" in shown
    assert "overlap (IoU) of 0.5" in shown


def test_mistakes_are_shown_the_most_confident_first(run: Run, client: Client, project: str) -> None:
    wrong = [image for image in client.evaluated_images(f"projects/{project}/models/v1") if not image.is_right]
    told = json_of(run("models", "mistakes", project, "v1", "--limit", "3", "--json"))["evaluated_images"]
    assert [image["image"] for image in told] == [image.image for image in wrong[:3]]
    everything = json_of(run("models", "mistakes", project, "v1", "--limit", "100", "--json"))["evaluated_images"]
    assert len(everything) == len(wrong)
    shown = run("models", "mistakes", project, "v1", "--limit", "1").stdout
    assert wrong[0].source in shown
    assert f"{wrong[0].predicted_label} wrongly ({wrong[0].confidence:.3f})" in shown


def test_mistakes_are_found_by_label_and_outcome(run: Run, project: str) -> None:
    missed = json_of(
        run("models", "mistakes", project, "v3", "--label", "cat", "--outcome", "false-negative", "--json")
    )["evaluated_images"]
    assert missed
    assert all("cat" in image["true_labels"] for image in missed)
    shown = run("models", "mistakes", project, "v3", "--label", "cat", "--outcome", "false-negative").stdout
    assert "cat missed" in shown
    assert "wrongly" not in shown
    assert "'elk' is not a label" in run("models", "mistakes", project, "v3", "--label", "elk").stderr


def test_two_models_are_compared(run: Run, project: str) -> None:
    told = json_of(run("models", "compare", project, "v1", "v2", "--json"))
    assert told["figures"][0]["significant"]
    shown = run("models", "compare", project, "v1", "v2").stdout
    assert "v2 beside v1, on 60 images" in shown
    assert told["figures"][0]["statement"] in shown.replace("\n", " ")
    assert f"{told['candidate_right_count']} images that only v2 gets right" in shown
    assert "is the baseline itself" in run("models", "compare", project, "v1", "v1").stderr
    assert "only one is a detector" in run("models", "compare", project, "v1").stderr


def test_thresholds_are_shown_and_changed(run: Run, client: Client, project: str) -> None:
    assert "best score is the answer" in run("models", "thresholds", project, "v1").stdout
    told = json_of(run("models", "thresholds", project, "v1", "cat=0.6", "--json"))["thresholds"]
    assert {one["label"]: one.get("threshold", 0.0) for one in told} == {"bee": 0.0, "cat": 0.6, "dog": 0.0}
    assert "0.600" in run("models", "thresholds", project, "v1", "dog=0.2").stdout, "others stay as they are"
    name = f"projects/{project}/models/v1"
    assert [label.threshold for label in client.evaluation(name).label_metrics] == [0.0, 0.6, 0.2]
    assert "best score is the answer" in run("models", "thresholds", project, "v1", "--best-label").stdout
    assert not client.model(name).thresholds


@pytest.mark.parametrize("wrong", ["cat", "cat=high", "=0.5"])
def test_a_threshold_that_cannot_be_read_is_refused(run: Run, project: str, wrong: str) -> None:
    done = run("models", "thresholds", project, "v1", wrong)
    assert done.exit_code == 2
    assert "must be LABEL=SCORE" in done.stderr


def test_a_label_that_the_model_does_not_know_is_refused(run: Run, project: str) -> None:
    done = run("models", "thresholds", project, "v3", "elk=0.5")
    assert (done.exit_code, "'elk' is not a label of the model" in done.stderr) == (1, True)
