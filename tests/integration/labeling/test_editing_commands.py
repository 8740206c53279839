"""Editing by hand with the command line, on a real service."""

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

    result_of(run("unannotate", name, image_id, 1, "--json"))
    left = result_of(run("annotations", name, image_id, "--json"))["annotations"]
    assert [one["label"] for one in left] == ["paw"]
    actions = result_of(run("history", name, "--resource", image, "--actor", "Ada", "--json"))["changes"]
    assert [change["action"] for change in actions] == ["annotations.delete", "annotations.create"]


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
