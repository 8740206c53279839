"""How unsure a model is of an image."""

import pytest

from sightsmith.api.inference.v1.prediction_service_pb2 import BoundingBox, Prediction
from sightsmith_labeling.embeddings.inference import uncertainty

BOX = BoundingBox(left=0.1, top=0.1, width=0.5, height=0.5)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([1.0, 0.0], 0.0),
        ([0.5, 0.5], 1.0),
        ([0.25, 0.25, 0.25, 0.25], 1.0),
        ([1.0], 0.0),
        # Labels that do not exclude each other: the entropy of a coin that falls so in 11 of 100 cases is 0.5 bits.
        ([0.99, 0.9, 0.11], 0.5),
        ([0.99, 0.5, 0.01], 1.0),
        ([0.0, 0.0], 0.0),
        ([], 0.0),
    ],
)
def test_of_labels(scores: list[float], expected: float) -> None:
    predictions = [Prediction(label=f"l{place}", confidence=score) for place, score in enumerate(scores)]
    assert uncertainty(predictions) == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize(("score", "expected"), [(1.0, 0.0), (0.5, 1.0), (0.11, 0.5)])
def test_of_boxes(score: float, expected: float) -> None:
    # The two sum to 1 by chance.
    predictions = [Prediction(label="a", confidence=score, box=BOX)]
    if score < 1:
        predictions.append(Prediction(label="a", confidence=1 - score, box=BOX))
    assert uncertainty(predictions) == pytest.approx(expected, abs=0.001)
