from typing import Any

import pytest

from sightsmith.cli.history import readable


@pytest.mark.parametrize(
    ("details", "text"),
    [
        ({"image_count": 3.0, "test_fraction": 0.2}, "image count: 3, test fraction: 0.2"),
        ({"before": "ct", "after": "cat"}, "after: cat, before: ct"),
        ({"images": ["a", "b", "c", "d", "e"]}, "images: a, b, c and 2 more"),
        ({"removed": [], "author": "", "model": None}, ""),
        ({"is_auto_split": False, "seed": 0.0}, "is auto split: no, seed: 0"),
        (
            {"added": [{"id": 2.0, "label": "x", "box": {"left": 1.5, "top": 2.0}}]},
            "added: (box: (left: 1.5, top: 2), id: 2, label: x)",
        ),
    ],
)
def test_details_are_text(details: dict[str, Any], text: str) -> None:
    assert readable(details) == text
