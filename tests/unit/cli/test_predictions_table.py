"""What `sightsmith predict` shows."""

import io
from typing import Any

from rich.console import Console

from sightsmith.cli.serving import predictions_table

BOX = {"top": 0.5, "width": 0.25, "height": 0.125}
CAT = {"label": "cat [wild]", "confidence": 0.9}
ERROR = {"file": "b.jpg", "error": {"reason": "IMAGE_EMPTY", "message": "has no bytes"}}


def _rows(*answers: dict[str, Any]) -> list[list[str]]:
    shown = io.StringIO()
    Console(file=shown, width=120).print(predictions_table(list(answers)))
    lines = [line for line in shown.getvalue().splitlines() if line.startswith(("│", "┃"))]
    return [[cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")] for line in lines]


def test_labels() -> None:
    rows = _rows({"file": "a.jpg", "labels": [CAT, {"label": "dog"}]}, ERROR, {"file": "c.jpg", "labels": []})
    assert rows == [
        ["file", "label", "confidence"],
        ["a.jpg", "cat [wild]", "0.900"],
        ["", "dog", "0.000"],
        ["b.jpg", "has no bytes", ""],
        ["c.jpg", "nothing", ""],
    ]


def test_boxes() -> None:
    rows = _rows({"file": "a.jpg", "labels": [{**CAT, "box": BOX}]}, ERROR)
    assert rows == [
        ["file", "label", "confidence", "left, top, width, height"],
        ["a.jpg", "cat [wild]", "0.900", "0.000  0.500  0.250  0.125"],
        ["b.jpg", "has no bytes", "", ""],
    ]
