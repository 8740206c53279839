"""The picture in the README holds the figures of a report and loads nothing from elsewhere."""

import html
import re
from pathlib import Path

from docs.render_demo_picture import main, render_picture
from sightsmith.demo.report import DemoReport, LabelScore, Parity


def _report() -> DemoReport:
    return DemoReport(
        task="classification",
        labels=("cat", "temple"),
        train_images=24,
        test_images=6,
        accuracy=5 / 6,
        macro_f1=0.829,
        train_seconds=12.4,
        total_seconds=31.0,
        model="projects/demo/models/v1",
        snapshot="projects/demo/snapshots/1",
        backbones=("efficientnet-lite0",),
        evaluated_on="test",
        parity=Parity(onnx=1.5e-6, torchscript=0.0, triton=1.6e-6, label_agreement=1.0, images=6, tolerance=1e-4),
        per_label=(
            LabelScore(label="cat", precision=1.0, recall=0.667, f1=0.8, images=3),
            LabelScore(label="temple", precision=0.75, recall=1.0, f1=0.857, images=3),
        ),
    )


def _text_of(picture: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", picture)).replace("\N{NO-BREAK SPACE}", " ")


def test_the_picture_holds_the_figures_of_the_report() -> None:
    text = _text_of(render_picture(_report()))
    for figure in ("83.3% of 6 held-out images", "temple", "0.857", "trained in 12 s, all in 31 s", "ONNX 1.5e-06"):
        assert figure in text


def test_the_picture_is_the_same_for_the_same_report() -> None:
    assert render_picture(_report()) == render_picture(_report())


def test_the_picture_loads_nothing_from_elsewhere() -> None:
    assert not re.search(r"url\(\"?http|@font-face|<image", render_picture(_report()))


def test_a_wrong_report_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "report.json"
    wrong.write_text("{}")
    problem = main([str(wrong), str(tmp_path / "demo.svg")])
    assert problem is not None
    assert str(wrong) in problem
    assert not (tmp_path / "demo.svg").exists()
