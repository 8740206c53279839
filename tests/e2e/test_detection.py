"""Boxes from end to end: import, train, judge, deploy, find."""

import json
from pathlib import Path

import pytest

from sightsmith.api.training.v1.model_pb2 import Model
from sightsmith.api.training.v1.training_job_pb2 import TrainingJob
from sightsmith.client import Client
from sightsmith.stack import Stack
from tests.drawn_scenes import SIDE, DrawnScene, draw_scenes
from tests.e2e.conftest import Command


def write_coco(folder: Path, scenes: list[DrawnScene]) -> Path:
    """Writes the pictures and a COCO file beside them."""
    labels = ["disc", "square"]
    images, annotations = [], []
    folder.mkdir()
    for number, scene in enumerate(scenes, start=1):
        (folder / f"{scene.name}.jpg").write_bytes(scene.encoded)
        images.append({"id": number, "file_name": f"{scene.name}.jpg", "width": SIDE, "height": SIDE})
        for label, *box in scene.boxes:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": labels.index(label) + 1,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": position, "name": label} for position, label in enumerate(labels, start=1)]
    file = folder / "annotations.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return file


@pytest.fixture(scope="module")
def signs(sightsmith: Command, client: Client, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A project with a trained and deployed detector."""
    folder = tmp_path_factory.mktemp("signs")
    train, test = write_coco(folder / "train", draw_scenes(40, 0)), write_coco(folder / "test", draw_scenes(12, 1))
    steps = (
        ("models", "fetch", "nanodet-g"),
        ("import", "signs", train, "--images", train.parent),
        ("create-dataset", "signs", "test", "--split", "test"),
        ("import", "signs", test, "--images", test.parent, "--dataset", "test"),
    )
    for step in steps:
        done = sightsmith(*step, "--json")
        assert done.code == 0, done.errors
    # By the client, which has all the time in the world: on a busy machine it takes minutes.
    snapshot = client.snapshots.take("signs", include_unlabelled=True).name
    job = client.wait_for_training(client.train("signs", snapshot, wishes=quick_wishes()).name)
    assert job.state == TrainingJob.STATE_SUCCEEDED, job.error
    client.wait_for_deployment(client.deploy("signs", "live", job.model).name)
    return "signs"


def quick_wishes() -> TrainingJob:
    wishes = TrainingJob(effort=TrainingJob.EFFORT_FAST)
    wishes.budget.FromSeconds(30)
    return wishes


def test_judged_by_its_test_images_again_the_detector_is_as_good(client: Client, signs: str) -> None:
    (model,) = client.list_models(signs)
    job = client.evaluation_jobs.wait(client.evaluation_jobs.begin(model.name, model.snapshot).name)
    told, own = client.evaluations.get(job.evaluation), client.evaluation(model.name)
    assert (told.image_count, told.left_out.learned_image_count) == (12, 40)
    assert told.detection.map_50 == pytest.approx(own.detection.map_50, abs=0.01)
    assert told.detection.map_50_95 == pytest.approx(own.detection.map_50_95, abs=0.01)


def test_a_detector_is_trained_judged_and_found_by_its_boxes(signs: str, client: Client) -> None:
    (model,) = client.list_models(signs)
    assert model.task == Model.TASK_DETECTION
    evaluation = client.evaluation(model.name)
    # Signs of two colours on photos are easy: whoever finds less has not learned from boxes.
    assert evaluation.detection.map_50 > 0.7
    assert evaluation.image_count == 12


def test_what_is_found_lies_where_it_was_drawn(signs: str, client: Client) -> None:
    hits = boxes = 0
    for scene in draw_scenes(8, seed=2):
        answer = client.predict(signs, "live", scene.encoded)
        for label, left, top, width, height in scene.boxes:
            boxes += 1
            middle = ((left + width / 2) / SIDE, (top + height / 2) / SIDE)
            hits += any(
                found.label == label
                and found.box.left < middle[0] < found.box.left + found.box.width
                and found.box.top < middle[1] < found.box.top + found.box.height
                for found in answer.predictions
            )
    assert boxes >= 8
    assert hits / boxes > 0.6


def test_before_its_traffic_it_found_what_its_training_recorded(signs: str, stack: Stack) -> None:
    lines = (stack.endpoints.data_dir / "logs" / "inference.log").read_text().splitlines()
    told = [json.loads(line) for line in lines if "model checked" in line and f'"{signs}.' in line]
    assert [line["differing"] for line in told] == [0] * len(told)
    assert told[0]["images"] >= 4


def test_the_report_of_a_detector_opens(signs: str, sightsmith: Command, tmp_path: Path) -> None:
    done = sightsmith("models", "report", signs, "-o", tmp_path / "report", "--json")
    assert done.code == 0, done.errors
    page = (tmp_path / "report" / "report.html").read_text()
    assert "disc" in page
    assert "data:image/" in page
