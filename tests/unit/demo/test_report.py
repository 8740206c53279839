import json
import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

from sightsmith.demo.report import DemoReport, LabelScore, Parity, PredictedFile, RejectedFile, render_table


def report(**changes: Any) -> DemoReport:
    values: dict[str, Any] = {
        "task": "classification",
        "labels": ("fish", "[red]tool"),
        "train_images": 60,
        "test_images": 20,
        "accuracy": 0.95,
        "macro_f1": 0.945,
        "train_seconds": 12.5,
        "total_seconds": 31.0,
        "model": "projects/demo/models/m1",
        "snapshot": "projects/demo/datasets/d/snapshots/1",
        "backbones": ("efficientnet_lite0",),
        "evaluated_on": "held-out images",
        "parity": Parity(onnx=1e-6, torchscript=2e-6, triton=3e-6, label_agreement=1.0, images=20, tolerance=1e-3),
        "per_label": (
            LabelScore(label="fish", precision=1.0, recall=0.9, f1=0.947, images=10),
            LabelScore(label="[red]tool", precision=0.909, recall=1.0, f1=0.952, images=10),
        ),
        "rejected": (RejectedFile(file="bröken.jpg", reason="IMAGE_TRUNCATED", message="ends too early"),),
        "predictions": (PredictedFile(file="a.jpg", true_label="fish", predicted_label="fish", confidence=0.8),),
    }
    return DemoReport(**values | changes)


def test_is_written_as_readable_json_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.json"
    report().write(path)
    text = path.read_text(encoding="utf-8")
    assert '\n  "accuracy": 0.95,\n' in text
    assert "bröken.jpg" in text
    assert json.loads(text)["parity"]["triton"] == 3e-6
    assert DemoReport.model_validate_json(text) == report()
    assert [file.name for file in path.parent.iterdir()] == ["report.json"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"accuracy": 1.2}, "accuracy"), ({"macro_f1": math.nan}, "macro_f1"), ({"test_images": -1}, "test_images")],
)
def test_impossible_figures_are_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        report(**changes)


def test_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        report().accuracy = 1.0


def test_the_table_has_a_row_a_label_and_the_means() -> None:
    console = Console(width=100, record=True, file=None, quiet=False)
    with console.capture() as capture:
        console.print(render_table(report()))
    lines = capture.get().splitlines()
    assert any("95.0% of 20 held-out images right" in line for line in lines)
    assert any(line.split()[1:9:2] == ["fish", "1.000", "0.900", "0.947"] for line in lines)
    assert any("[red]tool" in line for line in lines)  # a label is text, not markup
    totals = next(line for line in lines if "macro" in line)
    assert all(figure in totals for figure in ("0.955", "0.950", "0.945", "20"))
