"""`sightsmith demo`, as `make demo DATA=FOLDER` runs it: beside another stack, and gone without a trace."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.conftest import Command
from tests.photo_set import write_photo_set

# What a user may have set for another stack; the demo must not touch it.
ELSEWHERE = {
    "SIGHTSMITH_DATABASE_URL": "postgresql+psycopg://production.invalid/sightsmith",
    "SIGHTSMITH_OBJECT_STORE_URL": "s3://production",
}


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A temporary folder of this test's own, which PostgreSQL's system user can pass through."""
    folder = Path(tempfile.mkdtemp(prefix="demo-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_the_demo_writes_its_report_and_leaves_nothing(sightsmith: Command, tmp_path: Path, temporary: Path) -> None:
    photos = write_photo_set(tmp_path / "photos", images_per_label=8)
    (photos / "cat" / "broken.jpg").write_bytes(b"no image")
    report_folder = tmp_path / "report"
    done = sightsmith("demo", "--data", photos, "--report", report_folder, TMPDIR=str(temporary), **ELSEWHERE)
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
    assert list(temporary.iterdir()) == []
    assert _processes_with(str(temporary)) == []


def test_a_folder_of_nothing_is_a_clear_error(sightsmith: Command, tmp_path: Path, temporary: Path) -> None:
    done = sightsmith("demo", "--data", tmp_path, TMPDIR=str(temporary))
    assert done.code == 1
    assert "FOLDER/<label>" in done.errors
    assert list(temporary.iterdir()) == []


def _processes_with(text: str) -> list[str]:
    """Running processes whose command line or environment names a folder; the one that asks is not among them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except (OSError, PermissionError):
            continue
        if text.encode() in line and int(process.name) != os.getpid():
            found.append(str(process))
    return found
