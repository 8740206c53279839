"""What a model's numbers say."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn
from numpy.typing import NDArray

from sightsmith_inference.errors import ModelNotServableError
from sightsmith_inference.findings import Findings, read_findings
from sightsmith_inference.models import Runtime, ServableModel, Task

DETECTOR = ServableModel("d", "projects/shop/models/v1", Runtime.ONNX, ("a", "b"), 8, 4, Task.DETECTION, (0.5, 0.5))
CLASSIFIER = ServableModel("c", "projects/shop/models/v2", Runtime.ONNX, ("a", "b", "c"), 8, 4)
WHOLE = [0.0, 0.0, 1.0, 1.0]

shares = st.floats(-0.5, 1.5, width=32)


def _read(boxes: Any, scores: Any, labels: Any) -> Findings:
    outputs: list[NDArray[Any]] = [np.array([boxes], np.float32), np.array([scores], np.float32)]
    (found,) = read_findings(DETECTOR, [*outputs, np.array([labels], np.int32)])
    return found


def test_each_image_of_a_batch_has_its_own_order() -> None:
    scores = np.array([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2], [0.4, 0.4, 0.2]], np.float32)
    found = read_findings(CLASSIFIER, [scores])
    # Equally likely ones in the order of the model.
    assert [findings.labels.tolist() for findings in found] == [[1, 2, 0], [0, 2, 1], [0, 1, 2]]
    assert [findings.best for findings in found] == pytest.approx([0.5, 0.7, 0.4])
    assert all(findings.boxes is None for findings in found)


def test_empty_slots_are_not_found() -> None:
    found = _read([WHOLE, [0.0] * 4, WHOLE], [0.9, 0, 0], [1, -1, 7])
    assert found.labels.tolist() == [1]
    assert found.confidences.tolist() == pytest.approx([0.9])


def test_nothing_found() -> None:
    found = _read([WHOLE], [0], [0])
    assert (len(found.labels), found.best) == (0, 0.0)
    assert len(found.of_whole_image().labels) == 0


def test_boxes_end_at_the_border_and_have_an_area() -> None:
    boxes = [[-0.2, 0.5, 0.5, 1.3], [1.1, 0.0, 1.2, 1.0], [0.5, 0.5, 0.5, 0.9], [0.9, 0.1, 0.2, 0.5]]
    found = _read(boxes, [0.4, 0.9, 0.8, 0.7], [0, 0, 0, 0])
    assert found.boxes is not None
    assert found.boxes.tolist() == [[0, 0.5, 0.5, 1]]


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_that_the_model_does_not_have(label: int) -> None:
    with pytest.raises(ModelNotServableError, match=f"found label {label} of 2"):
        _read([WHOLE], [0.1], [label])


@given(stn.arrays(np.float32, (12, 4), elements=shares), stn.arrays(np.float32, 12, elements=st.floats(0, 1, width=32)))
def test_laws(boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> None:
    labels = np.arange(12, dtype=np.int32) % 2
    found = _read(boxes, scores, labels)
    assert found.boxes is not None
    assert (np.diff(found.confidences) <= 0).all()
    assert (found.confidences > 0).all()
    assert ((found.boxes >= 0) & (found.boxes <= 1)).all()
    assert (found.boxes[:, :2] < found.boxes[:, 2:]).all()
    of_image = found.of_whole_image()
    best = {label: found.confidences[found.labels == label].max() for label in set(found.labels.tolist())}
    assert dict(zip(of_image.labels.tolist(), of_image.confidences.tolist(), strict=True)) == best
    assert (np.diff(of_image.confidences) <= 0).all()
