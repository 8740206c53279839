"""The lines of batch predictions, read back by what reads them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightsmith.client.batch_suggestions import Tally, batches_of_suggestions
from sightsmith.errors import InvalidArgumentError, NotFoundError
from sightsmith_inference.batches.result_lines import Answered, json_line, manifest_line
from sightsmith_inference.batches.sources import Item
from sightsmith_inference.ranking import Box, Prediction
from sightsmith_labeling.annotations import Origin
from sightsmith_labeling.formats.ground_truth import GroundTruth
from sightsmith_labeling.formats.records import ImportedImage
from tests.unit.labeling.formats.trees import read

MODEL = "projects/shop/models/v1"
IMAGE = "projects/shop/datasets/train/images/7"
TIME = datetime(2026, 11, 23, 12, tzinfo=UTC)
OWN = "s3://sightsmith"

labels = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20)
boxes = st.builds(
    lambda left, top, width, height: Box(left, top, (1 - left) * width, (1 - top) * height),
    *(st.floats(0, 0.9) for _ in range(2)),
    *(st.floats(0.1, 1) for _ in range(2)),
)
predictions = st.lists(
    st.builds(Prediction, labels, st.floats(0, 1), st.none() | boxes), max_size=8, unique_by=lambda one: one.label
)
sides = st.integers(16, 5000)


@given(predictions, sides, sides)
@settings(max_examples=25, deadline=None)
def test_labeling_reads_the_manifest_as_it_was_meant(said: list[Prediction], width: int, height: int) -> None:
    answered = Answered(Item("s3://bucket/a.jpg"), MODEL, tuple(said), (width, height))
    (image,) = read(GroundTruth(), {"results.manifest": manifest_line(answered, TIME, OWN)})
    assert isinstance(image, ImportedImage)
    assert image.source == "s3://bucket/a.jpg"
    assert not image.problems
    found = image.annotations
    assert all((one.origin, one.author) == (Origin.MODEL, MODEL) for one in found)
    expected = sorted(said, key=lambda one: one.box is None)
    assert [(one.label, one.confidence) for one in sorted(found, key=lambda one: one.box is None)] == [
        (one.label, one.confidence) for one in expected
    ]
    for one, meant in zip([one for one in found if one.box is not None], expected, strict=False):
        assert one.box is not None
        assert meant.box is not None
        assert (one.box.left, one.box.width) == pytest.approx((meant.box.left * width, meant.box.width * width))
        assert (one.box.top, one.box.height) == pytest.approx((meant.box.top * height, meant.box.height * height))


@pytest.mark.parametrize(
    ("item", "reference"),
    [
        (Item("s3://bucket/a.jpg"), "s3://bucket/a.jpg"),
        (Item("file:///srv/a.jpg"), "srv/a.jpg"),
        (Item("photos/a.jpg", key="images/ab/abc", image=IMAGE), "s3://sightsmith/images/ab/abc"),
        (Item("s3://bucket/a.jpg", key="images/ab/abc", image=IMAGE), "s3://bucket/a.jpg"),
    ],
)
def test_an_image_without_predictions_is_named_all_the_same(item: Item, reference: str) -> None:
    for outcome in ((), NotFoundError("it")):
        assert json.loads(manifest_line(Answered(item, MODEL, outcome), TIME, OWN)) == {"source-ref": reference}


def test_an_error_stands_in_the_place_of_predictions() -> None:
    line = json_line(Answered(Item("s3://bucket/a.jpg"), "", NotFoundError("s3://bucket/a.jpg")))
    error = {"code": "NOT_FOUND", "reason": "NOT_FOUND", "message": "s3://bucket/a.jpg does not exist"}
    assert line.endswith(b"\n")
    assert json.loads(line) == {"source": "s3://bucket/a.jpg", "error": error}


def _suggested(lines: list[bytes], tally: Tally) -> list[list[Any]]:
    known = {"s3://bucket/a.jpg": IMAGE}.get
    return list(batches_of_suggestions(lines, known, 0.5, tally))


def test_results_become_suggestions_in_pixels() -> None:
    found = (Prediction("cat", 0.9, Box(0.25, 0.5, 0.5, 0.5)), Prediction("dog", 0.4), Prediction("hen", 0.5))
    tally = Tally()
    ((cat, hen),) = _suggested(
        [
            json_line(Answered(Item("a.jpg", key="k", image=IMAGE), MODEL, found, (640, 480))),
            json_line(Answered(Item("b.jpg"), MODEL, (Prediction("cat", 0.9),))),
            json_line(Answered(Item("c.jpg"), "", NotFoundError("c.jpg"))),
        ],
        tally,
    )
    assert (cat.image, cat.label, cat.confidence, cat.model) == (IMAGE, "cat", 0.9, MODEL)
    assert (cat.box.left, cat.box.top, cat.box.width, cat.box.height) == (160, 240, 320, 240)
    assert (hen.label, hen.HasField("box")) == ("hen", False)
    assert tally == Tally(images=1, unknown=1, unanswered=1)


def test_suggestions_of_an_image_stay_together_and_models_apart() -> None:
    said = tuple(Prediction(f"label {number}", 0.9) for number in range(300))
    lines = [json_line(Answered(Item("s3://bucket/a.jpg"), MODEL, said)) for _ in range(5)]
    lines.append(json_line(Answered(Item("s3://bucket/a.jpg"), f"{MODEL}0", said)))
    assert [len(batch) for batch in _suggested(lines, Tally())] == [900, 600, 300]


@pytest.mark.parametrize("line", [b"{", b"[]", b"{}", b'{"source": "s3://bucket/a.jpg", "predictions": [1]}'])
def test_a_line_of_something_else_is_named(line: bytes) -> None:
    good = json_line(Answered(Item("s3://bucket/a.jpg"), MODEL, ()))
    with pytest.raises(InvalidArgumentError, match="line 2"):
        _suggested([good, line], Tally())
