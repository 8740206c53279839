"""`sightsmith demo`, as `make demo DATA=FOLDER` runs it: beside another stack, and gone without a trace."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.conftest import Command
from tests.photo_set import write_photo_set


def test_the_demo_writes_its_report_and_leaves_nothing_running(sightsmith: Command, tmp_path: Path) -> None:
    photos = write_photo_set(tmp_path / "photos", images_per_label=8)
    (photos / "cat" / "broken.jpg").write_bytes(b"no image")
    report_folder = tmp_path / "report"
    done = sightsmith("demo", "--data", photos, "--report", report_folder, TMPDIR="/tmp")  # noqa: S108 - see below
    assert done.code == 0, done.errors
    assert "precision" in done.output

    report = json.loads((report_folder / "report.json").read_text())
    assert report["task"] == "classification"
    assert report["labels"] == ["astronaut", "cat", "coffee", "flower", "temple"]
    assert (report["train_images"], report["test_images"]) == (30, 10)
    assert report["accuracy"] > 0.7
    assert 0 < report["macro_f1"] <= 1
    assert report["train_seconds"] > 0
    assert report["model"] == "projects/demo/models/v1"
    assert max(report["parity"][part] for part in ("onnx", "torchscript", "triton")) < 1e-4
    assert report["parity"]["label_agreement"] == 1
    assert [rejection["file"] for rejection in report["rejected"]] == ["cat/broken.jpg"]
    assert Image.open(report_folder / "contact_sheet.png").width > 500
    assert _processes_with("sightsmith-demo-") == []


def test_a_folder_of_nothing_is_a_clear_error(sightsmith: Command, tmp_path: Path) -> None:
    done = sightsmith("demo", "--data", tmp_path)
    assert done.code == 1
    assert "FOLDER/<label>" in done.errors
    assert _processes_with("sightsmith-demo-") == []


def _processes_with(text: str) -> list[str]:
    """Command lines and environments of running processes that name the demo's data folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except (OSError, PermissionError):
            continue
        if text.encode() in line:
            found.append(str(process))
    return found


@pytest.fixture(autouse=True)
def _no_demo_before() -> None:
    assert _processes_with("sightsmith-demo-") == []
