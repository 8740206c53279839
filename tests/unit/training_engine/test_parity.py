"""When exports may be used."""

import math

import pytest

from sightsmith_training.engine.contract import Parity
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.parity import are_equal, require_equal


def parity(onnx: float = 1e-6, torchscript: float = 1e-6, agreement: float = 1.0) -> Parity:
    return Parity(onnx=onnx, torchscript=torchscript, label_agreement=agreement, images=16, tolerance=1e-4)


def test_differences_within_the_tolerance_do_no_harm() -> None:
    assert are_equal(parity(1e-4, 1e-4))
    require_equal(parity())


@pytest.mark.parametrize(
    "different",
    [parity(onnx=2e-4), parity(torchscript=2e-4), parity(agreement=0.99), parity(math.nan), parity(1e-6, math.nan)],
)
def test_one_that_differs_is_enough(different: Parity) -> None:
    assert not are_equal(different)
    with pytest.raises(TrainingError) as caught:
        require_equal(different)
    assert caught.value.failure.reason == "EXPORT_MISMATCH"
    assert caught.value.failure.metadata["images"] == "16"


def test_agreement_may_be_asked_for_in_part() -> None:
    assert are_equal(parity(agreement=0.99), least_agreement=0.99)
