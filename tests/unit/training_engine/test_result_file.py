"""What came of a job is the same when it comes out of its file, of which no more is in memory than is asked for."""

import tracemalloc
from pathlib import Path

import pytest

from sightsmith_training.engine.contract import Answers, Violation
from sightsmith_training.engine.evaluation_result import ImagePrediction
from sightsmith_training.engine.result_file import read_result, write_result
from sightsmith_training.evaluations.matching import Rules, match


def prediction(number: int, source: str = "") -> ImagePrediction:
    return ImagePrediction(
        image=f"i-{number}",
        source=source or f"Küche/{number}.jpg",
        true_labels=["cat"],
        predicted_labels=[],
        confidence=0.75,
        scores=[0.75, 0.25],
    )


def test_the_file_tells_everything_in_order_and_as_often_as_one_likes(tmp_path: Path) -> None:
    said = [prediction(number) for number in range(7)]
    unusable = [Violation(field="i-9", description="cannot be read")]
    path = write_result(tmp_path / "new" / "folder", Answers(predictions=said, unusable_images=unusable))
    found = read_result(path)
    assert isinstance(found, Answers)
    assert found.unusable_images == unusable
    assert len(found.predictions) == 7
    assert list(found.predictions) == list(found.predictions) == said
    assert (found.predictions[3], found.predictions[-1], found.predictions[1:6:2]) == (said[3], said[6], said[1:6:2])
    with pytest.raises(IndexError):
        found.predictions[7]


def test_no_predictions_are_none(tmp_path: Path) -> None:
    found = read_result(write_result(tmp_path, Answers(predictions=[])))
    assert list(found.predictions) == found.predictions[:] == []


def test_a_result_of_any_size_is_judged_in_little_memory(tmp_path: Path) -> None:
    """300 MB, of which each image has a hundred kilobytes, as where there are thousands of labels or many boxes."""
    long = "x" * 100_000
    path = write_result(tmp_path, Answers(predictions=[prediction(number, long) for number in range(3000)]))
    assert path.stat().st_size > 300_000_000
    tracemalloc.start()
    try:
        sources = sum(len(one.source) for one in read_result(path).predictions)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    path.unlink()
    assert sources == 3000 * len(long)
    assert peak < 10_000_000


def test_what_comes_out_of_the_file_is_judged_like_what_went_in(tmp_path: Path) -> None:
    said = [prediction(number) for number in range(1500)]
    rules = Rules.of("classification", ["cat", "dog"], [])
    read = read_result(write_result(tmp_path, Answers(predictions=said))).predictions
    assert match(rules, read).right.sum() == match(rules, said).right.sum() == 1500
