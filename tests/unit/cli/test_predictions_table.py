"""What `sightsmith predict` shows."""

import io
from typing import Any

from rich.console import Console

from sightsmith.cli.serving import answers_for_people, predictions_table, problems_of

BY = {"model": "projects/shop/models/v2", "alias": "live"}
CANARY = {"model": "projects/shop/models/v3", "alias": "canary"}
BOX = {"top": 0.5, "width": 0.25, "height": 0.125}
CAT = {"label": "cat [wild]", "confidence": 0.9}
ERROR = {"file": "b.jpg", "error": {"reason": "IMAGE_EMPTY", "message": "has no bytes"}}


def _rows(*answers: dict[str, Any]) -> list[list[str]]:
    shown = io.StringIO()
    Console(file=shown, width=120).print(predictions_table(list(answers)))
    lines = [line for line in shown.getvalue().splitlines() if line.startswith(("│", "┃"))]
    return [[cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")] for line in lines]


def test_labels() -> None:
    rows = _rows({"file": "a.jpg", "labels": [CAT, {"label": "dog"}], **BY}, {"file": "c.jpg", "labels": [], **BY})
    assert rows == [
        ["file", "label", "confidence"],
        ["a.jpg", "cat [wild]", "0.900"],
        ["", "dog", "0.000"],
        ["c.jpg", "nothing", ""],
    ]


def test_boxes() -> None:
    rows = _rows({"file": "a.jpg", "labels": [{**CAT, "box": BOX}], **BY})
    assert rows == [
        ["file", "label", "confidence", "left, top, width, height"],
        ["a.jpg", "cat [wild]", "0.900", "0.000  0.500  0.250  0.125"],
    ]


def test_who_answered_is_told_once_or_for_each_file() -> None:
    one = {"file": "a.jpg", "labels": [CAT, CAT], **BY}
    assert next(answers_for_people([one, ERROR])) == "answered by v2 (live)"
    rows = _rows(one, {"file": "b.jpg", "labels": [], **CANARY})
    assert [row[1] for row in rows] == ["answered by", "v2 (live)", "", "v3 (canary)"]
    assert not list(answers_for_people([ERROR]))


def test_problems_are_told_once_for_all_files_that_have_them() -> None:
    cut = [{"file": f"{number}.jpg", "error": {"message": "is cut"}} for number in range(3)]
    one = {"file": "a.jpg", "labels": [CAT], **BY}
    assert list(problems_of([ERROR, one, *cut])) == ["b.jpg: has no bytes", "0.jpg and 2 more files: is cut"]
