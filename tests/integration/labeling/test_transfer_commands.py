"""`sightsmith import`, `imports` and `export` on a real service and worker."""

import json
import zipfile
from pathlib import Path

import pytest

from .command_line import Run, result_of
from .labeling_client import LabelingClient
from .sample_images import jpeg
from .transfer_client import TransferClient, boxes_of, manifest, manifest_line

pytestmark = pytest.mark.usefixtures("worker")


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """A COCO file and a folder of its images."""
    images = tmp_path / "pictures"
    images.mkdir()
    for number in range(3):
        (images / f"{number}.jpg").write_bytes(jpeg(seed=100 + number))
    (images / "notes.txt").write_text("not to be sent")
    file = tmp_path / "instances.json"
    file.write_text(
        json.dumps(
            {
                "images": [{"id": at, "file_name": f"{at}.jpg", "width": 64, "height": 48} for at in range(4)],
                "annotations": [{"id": 1, "image_id": 0, "category_id": 7, "bbox": [1, 2, 30, 20]}],
                "categories": [{"id": 7, "name": "cat"}],
            }
        )
    )
    return file


async def test_annotations_come_with_their_images(
    run: Run, client: LabelingClient, project: str, coco: Path, tmp_path: Path
) -> None:
    name = project.removeprefix("projects/")
    done = run("import", name, coco, "--images", tmp_path / "pictures", "--max-rejected", "0.3", "--json")
    job = result_of(done)
    assert job["result"]["format"] == "ANNOTATION_FORMAT_COCO"
    assert (job["result"]["created_count"], job["result"]["rejected_count"]) == ("3", "1")
    images = await TransferClient(client).images(f"{project}/datasets/train")
    assert [boxes_of(image) for image in images] == [[("cat", 1, 2, 30, 20)], [], []]

    job_id = job["name"].rpartition("/")[2]
    shown = run("imports", name, job_id)
    assert "ERROR_IMAGE_NOT_FOUND" in shown.stdout
    report = tmp_path / "report.jsonl"
    assert run("imports", name, job_id, "--report", report).exit_code == 0
    assert [json.loads(line)["code"] for line in report.read_text().splitlines()] == ["ERROR_IMAGE_NOT_FOUND"]
    assert [one["name"] for one in result_of(run("imports", name, "--json"))["import_jobs"]] == [job["name"]]

    archive = tmp_path / "out.zip"
    written = result_of(run("export", name, "--format", "coco", "-o", archive, "--with-images", "--json"))
    assert written["result"]["packed_image_count"] == "3"
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
    again = result_of(run("import", f"{name}-again", archive, "--json"))
    assert again["result"]["created_count"] == "3"

    bare = tmp_path / "bare.zip"
    result_of(run("export", name, "--format", "coco", "-o", bare, "--json"))
    result_of(run("import", f"{name}-bare", bare, "--images", tmp_path / "pictures", "--json"))
    images = await TransferClient(client).images(f"{project}-bare/datasets/train")
    assert [boxes_of(image) for image in images] == [[("cat", 1, 2, 30, 20)], [], []]


def test_a_failed_import_says_why_and_ends_with_an_error(run: Run, project: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.manifest"
    file.write_bytes(manifest([manifest_line("s3://b/1.jpg", "ripe"), "bad"]))
    done = run("import", project.removeprefix("projects/"), file)
    assert done.exit_code == 1
    assert "1 of 2 lines were rejected" in " ".join(done.output.split())
    assert "bad.manifest:2" in done.output
    for arguments in (("--format", "word"), ("--existing", "destroy"), ("--max-rejected", "3")):
        assert run("import", project.removeprefix("projects/"), file, *arguments).exit_code == 1


def test_labelled_folders_need_no_job(run: Run, project: str, tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (tmp_path / "animals" / label).mkdir(parents=True)
        (tmp_path / "animals" / label / "1.jpg").write_bytes(jpeg(seed=len(label) + ord(label[0])))
    name = project.removeprefix("projects/")
    assert result_of(run("import", name, tmp_path / "animals", "--json"))["created"] == 2
    assert result_of(run("imports", name, "--json")) == {"import_jobs": []}


def test_images_in_no_folder_have_no_label(run: Run, project: str, tmp_path: Path) -> None:
    name, photos = project.removeprefix("projects/"), tmp_path / "photos"
    photos.mkdir()
    for number in range(2):
        (photos / f"{number}.jpg").write_bytes(jpeg(seed=300 + number))
    report = result_of(run("import", name, photos, "--json"))
    assert (report["created"], report["unlabelled"]) == (2, ["0.jpg", "1.jpg"])
    assert len(result_of(run("images", name, "--no-labelled", "--json"))["images"]) == 2
    # By a job, because the dataset is named, and to the same end.
    job = result_of(run("import", name, photos, "--dataset", "train", "--json"))
    assert job["result"]["unchanged_count"] == "2"


def test_annotations_may_lie_beside_the_images_of_each_split(run: Run, project: str, tmp_path: Path) -> None:
    name = project.removeprefix("projects/")
    for place, split in enumerate(("train", "test")):
        folder = tmp_path / "dataset" / split
        folder.mkdir(parents=True)
        (folder / f"{split}.jpg").write_bytes(jpeg(seed=310 + place))
        annotations = {
            "images": [{"id": 1, "file_name": f"{split}.jpg", "width": 64, "height": 48}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 20]}],
            "categories": [{"id": 1, "name": "cat"}],
        }
        (folder / "_annotations.coco.json").write_text(json.dumps(annotations))
    job = result_of(run("import", name, tmp_path / "dataset", "--json"))
    assert (job["result"]["format"], job["result"]["created_count"]) == ("ANNOTATION_FORMAT_COCO", "2")
    labels = result_of(run("labels", "list", name, "--json"))["labels"]
    assert [label["display_name"] for label in labels] == ["cat"]


def test_train_and_test_are_made_where_an_import_names_them(run: Run, project: str, tmp_path: Path) -> None:
    new, photos = f"{project.removeprefix('projects/')}-named", tmp_path / "photos"
    photos.mkdir()
    (photos / "1.jpg").write_bytes(jpeg(seed=320))
    refused = run("import", new, photos, "--dataset", "judge")
    assert f"projects/{new}/datasets/judge does not exist" in refused.stderr
    assert run("datasets", new).exit_code == 1, "a typing error makes no project"
    for _ in range(2):
        result_of(run("import", new, photos, "--dataset", "test", "--json"))
    assert "there is test; an import makes" in run("import", new, photos, "--dataset", "judge").stderr
    (dataset,) = result_of(run("datasets", new, "--json"))["datasets"]
    assert (dataset["name"], dataset["split"]) == (f"projects/{new}/datasets/test", "SPLIT_TEST")
    assert dataset["image_count"] == "1"


def test_what_is_not_there_is_told_in_words(run: Run, project: str, tmp_path: Path) -> None:
    name, missing = project.removeprefix("projects/"), tmp_path / "missing"
    assert f"there is no file or folder {missing}" in run("import", f"{name}-new", missing).stderr
    # Nothing was made for it.
    assert run("datasets", f"{name}-new").exit_code == 1
    assert f"there is no file {missing}" in run("validate", name, "--train-manifest", missing).stderr
    done = run("export", name, "--format", "coco", "--label", "unicorn", "-o", tmp_path / "out.zip")
    assert done.exit_code == 1
    assert f"the label 'unicorn' of {project} does not exist" in done.stderr
    assert not (tmp_path / "out.zip").exists()
