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
