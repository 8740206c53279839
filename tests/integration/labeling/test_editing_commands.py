"""Editing by hand with the command line, on a real service."""

from pathlib import Path

import pytest

from .command_line import Run, result_of
from .labeling_client import LabelingClient, Sample
from .sample_images import jpeg


@pytest.fixture
async def image(client: LabelingClient, dataset: str) -> str:
    """An image of 64 by 48 pixels, with one label."""
    (answer,) = await client.upload(dataset, [Sample("street/1.jpg", jpeg(seed=900))])
    return answer.image.name


def test_labels_and_boxes_are_put_on_and_taken_off(run: Run, project: str, image: str) -> None:
    name, image_id = project.removeprefix("projects/"), image.rpartition("/")[2]
    box = result_of(run("annotate", name, image_id, "paw", "--box", "1,2,30.5,20", "--json"))
    assert box["box"] == {"left": 1, "top": 2, "width": 30.5, "height": 20}
    assert (box["origin"], box["author"]) == ("ORIGIN_PERSON", "Ada")
    there = result_of(run("annotations", name, image_id, "--json"))["annotations"]
    assert [one["label"] for one in there] == ["cat", "paw"]
    assert "paw" in run("annotations", name, image_id).stdout

    stale = run("annotate", name, image_id, "dog", "--etag", '"1"', "--json")
    assert stale.exit_code == 1
    assert "ETAG_MISMATCH" in stale.stderr
    outside = run("annotate", name, image_id, "dog", "--box", "60,40,30,30")
    assert outside.exit_code == 1
    assert "box" in outside.stderr
    assert run("annotate", name, image_id, "dog", "--box", "1,2,nan,4").exit_code == 2

    stale = run("unannotate", name, image_id, 1, "--etag", '"1"', "--json")
    assert stale.exit_code == 1
    assert "ETAG_MISMATCH" in stale.stderr
    now = result_of(run("images", name, "--json"))["images"][0]["etag"]
    result_of(run("unannotate", name, image, 1, "--etag", now, "--json"))
    left = result_of(run("annotations", name, image_id, "--json"))["annotations"]
    assert [one["label"] for one in left] == ["paw"]
    actions = result_of(run("history", name, "--resource", image, "--actor", "Ada", "--json"))["changes"]
    assert [change["action"] for change in actions] == ["annotations.delete", "annotations.create"]
    for given in (image_id, image):
        history = result_of(run("history", name, "--image", given, "--json"))["changes"]
        assert [change["action"] for change in history] == [
            "annotations.delete",
            "annotations.create",
            "images.upload",
        ]
    shown = " ".join(run("history", name, "--action", "images.upload").stdout.split())
    assert "image count: 1" in shown


async def test_images_move_and_projects_are_described(
    run: Run, client: LabelingClient, project: str, image: str
) -> None:
    name, image_id = project.removeprefix("projects/"), image.rpartition("/")[2]
    described = result_of(run("describe", name, "--called", "Street cats", "--tag", "team=north", "--json"))
    assert (described["display_name"], described["tags"]) == ("Street cats", {"team": "north"})
    assert run("describe", name, "--tag", "north").exit_code == 2

    await client.new_dataset(project, "held-out", split=2)
    moved = result_of(run("move", name, image_id, "--to", "held-out", "--json"))["images"]
    assert [one["name"] for one in moved] == [f"{project}/datasets/held-out/images/{image_id}"]
    assert result_of(run("images", name, "train", "--json"))["images"] == []
    back = result_of(run("move", name, moved[0]["name"], "--to", "train", "--json"))["images"]
    assert [one["name"] for one in back] == [image]
    elsewhere = run("delete", name, "--image", "projects/elsewhere/datasets/train/images/1")
    assert elsewhere.exit_code == 1
    assert f"must be of the project {name}" in elsewhere.stderr
    assert result_of(run("delete", name, "--image", image, "--json"))["deleted"] == [image]


def test_images_are_written_to_files(run: Run, project: str, image: str, tmp_path: Path) -> None:
    name, image_id = project.removeprefix("projects/"), image.rpartition("/")[2]
    (file,) = result_of(run("download", name, image_id, "-o", tmp_path / "whole", "--json"))["files"]
    assert Path(file) == tmp_path / "whole" / f"{image_id}.jpg"
    assert Path(file).read_bytes() == jpeg(seed=900)
    (small,) = result_of(run("download", name, image_id, "-o", tmp_path / "small", "--thumbnails", "--json"))["files"]
    assert Path(small).read_bytes().startswith(b"\xff\xd8")
    assert run("download", name, "nothing", "-o", tmp_path).exit_code == 1


def test_snapshots_are_shown_and_datasets_created(run: Run, project: str, image: str) -> None:
    name = project.removeprefix("projects/")
    result_of(run("snapshots", "take", name, "--json"))
    assert result_of(run("snapshots", "show", name, 1, "--json"))["label_counts"] == [
        {"label": "cat", "train_image_count": "1"}
    ]
    assert result_of(run("create-dataset", name, "judge", "--split", "test", "--json"))["split"] == "SPLIT_TEST"
    again = run("create-dataset", name, "other", "--split", "test", "--json")
    assert again.exit_code == 1
    assert "ALREADY_EXISTS" in again.stderr
    result_of(run("annotate", name, image, "dog", "--json"))
    plan = run("snapshots", "restore", name, 1, "--dry-run").stdout
    done = run("snapshots", "restore", name, 1, "--yes").stdout
    told = "restored: 1 with other labels or boxes, 0 images as they are"
    assert " ".join(plan.split()) == f"snapshot 1 would be {told}"
    assert " ".join(done.split()) == f"snapshot 1 is {told}"
    assert [one["label"] for one in result_of(run("annotations", name, image, "--json"))["annotations"]] == ["cat"]


def test_a_picture_is_a_file_or_an_image(run: Run, project: str, image: str, tmp_path: Path) -> None:
    name = project.removeprefix("projects/")
    assert f"there is no file {tmp_path}/photo.jpg" in run("similar", name, tmp_path / "photo.jpg").stderr
    assert f"{project}/datasets/test/images/nothing" in run("similar", name, "nothing", "--dataset", "test").stderr
    other = f"{project}x/datasets/train/images/1"
    assert f"must be of the project {name}, not {other}" in run("label-like", name, image, other).stderr


@pytest.mark.usefixtures("worker")
def test_tasks_are_listed_and_stopped(run: Run, project: str, image: str, tmp_path: Path) -> None:
    name = project.removeprefix("projects/")
    result_of(run("export", name, "--format", "coco", "-o", tmp_path / "out.zip", "--json"))
    result_of(run("validate", name, "--json"), exit_code=1)
    tasks = result_of(run("tasks", name, "--json"))["tasks"]
    assert [task["name"].split("/")[2] for task in tasks] == ["validationJobs", "exportJobs"]
    assert {task["state"] for task in tasks} == {"JOB_STATE_SUCCEEDED"}
    ended = tasks[1]["name"].removeprefix(f"{project}/")
    assert result_of(run("tasks", name, "--cancel", ended, "--json"))["state"] == "JOB_STATE_SUCCEEDED"
    wrong = run("tasks", name, "--cancel", "cakes/1")
    assert wrong.exit_code == 1
    assert "importJobs" in wrong.stderr


def test_an_image_is_put_into_the_review_queue(run: Run, project: str, image: str, tmp_path: Path) -> None:
    name = project.removeprefix("projects/")
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(jpeg(seed=901))
    item = result_of(run("review", "request", name, photo, "--predicted", "cat=0.4", "--json"))
    assert [(one["label"], one["confidence"]) for one in item["predictions"]] == [("cat", 0.4)]
    item_id = item["name"].rpartition("/")[2]
    assert run("review", "download", name, item_id, "-o", tmp_path / "there.jpg").exit_code == 0
    assert (tmp_path / "there.jpg").read_bytes() == photo.read_bytes()
    assert run("review", "request", name, photo, "--predicted", "cat").exit_code == 2
