"""`sightsmith validate` and `split` on a real service and worker."""

import json
from pathlib import Path

import pytest

from .command_line import Run, result_of
from .labeling_client import LabelingClient, Sample
from .sample_images import jpeg
from .transfer_client import manifest, manifest_line

pytestmark = pytest.mark.usefixtures("worker")


@pytest.fixture
async def labelled(client: LabelingClient, dataset: str) -> str:
    """Id of a project with ten cats and ten dogs to learn from."""
    samples = [Sample(f"{n}.jpg", jpeg(seed=4000 + n), ("cat" if n % 2 else "dog",)) for n in range(20)]
    await client.upload(dataset, samples)
    return dataset.split("/")[1]


async def test_what_can_be_trained_with_passes(run: Run, labelled: str, tmp_path: Path) -> None:
    job = result_of(run("validate", labelled, "--files", tmp_path / "files", "--json"))
    assert job["result"]["trainable"]
    assert job["findings"] == []
    assert len((tmp_path / "files" / "training.manifest").read_text().splitlines()) == 20
    assert json.loads((tmp_path / "files" / "summary.json").read_text())["errors"] == []
    assert not (tmp_path / "files" / "testing.manifest").exists()
    shown = run("validate", labelled)
    assert shown.exit_code == 0
    assert "The data are sound." in shown.stdout


async def test_what_a_training_would_refuse_fails(run: Run, project: str, tmp_path: Path) -> None:
    train = tmp_path / "train.manifest"
    train.write_bytes(manifest([manifest_line("s3://b/[1].jpg", "cat"), "not json"]))
    job = result_of(run("validate", project.split("/")[1], "--train-manifest", train, "--json"), exit_code=1)
    assert {finding["code"] for finding in job["findings"]} >= {
        "ERROR_INVALID_JSON_LINE",
        "ERROR_MANIFEST_TOO_FEW_LABELS",
        "ERROR_TOO_MANY_INVALID_ROWS_IN_MANIFEST",
    }
    shown = run("validate", project.split("/")[1], "--train-manifest", train)
    assert shown.exit_code == 1
    assert "The data are not fit for a training." in shown.stdout
    assert "line 2" in shown.stdout


async def test_images_are_split(run: Run, client: LabelingClient, labelled: str) -> None:
    preview = result_of(run("split", labelled, "--preview", "--json"))
    assert preview["moved_image_count"] == "4"
    assert "4 images moved" in run("split", labelled).stdout
    assert (await client.dataset(f"projects/{labelled}/datasets/test")).image_count == 4
    refused = run("split", labelled, "--fraction", "0.9")
    assert refused.exit_code == 1
