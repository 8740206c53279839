"""Devices, places, parcels and learners, each by itself."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sightsmith_training.engine.distribution.devices import find_devices, precision_for
from sightsmith_training.engine.distribution.learners import DeviceLearner, ThreadedLearner
from sightsmith_training.engine.distribution.parcels import read_parcel, write_parcel
from sightsmith_training.engine.distribution.places import Place

_CPU = torch.device("cpu")
Part = tuple[Tensor, Tensor]


def test_the_weakest_gpu_decides_on_the_precision() -> None:
    assert precision_for([]) is None
    assert precision_for([(8, 0), (9, 0)]) is torch.bfloat16
    assert precision_for([(9, 0), (7, 5)]) is torch.float16
    assert precision_for([(6, 1), (9, 0)]) is None


def test_no_gpu_is_taken_where_the_processor_is_wished_for() -> None:
    found = find_devices("cpu")
    assert (found.gpus, found.precision) == (0, None)


@given(items=st.integers(0, 200), size=st.integers(1, 9))
def test_the_shares_of_a_group_are_everything_once_and_even(items: int, size: int) -> None:
    shares = [range(items)[Place(_CPU, None, rank, size).share(items)] for rank in range(size)]
    assert [item for share in shares for item in share] == list(range(items))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@settings(deadline=None, max_examples=30)
@given(start=st.integers(0, 4999), length=st.integers(1, 5000))
def test_mapped_arrays_are_sent_as_their_place_in_the_file(
    start: int, length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("parcel")
    mapped = np.lib.format.open_memmap(folder / "numbers.npy", "w+", np.uint16, (5000, 3))
    mapped[:] = np.arange(15000).reshape(5000, 3)
    piece = mapped[start : start + length]
    write_parcel(folder / "parcel", {"piece": piece, "computed": piece + 1})
    read = read_parcel(folder / "parcel")
    np.testing.assert_array_equal(read["piece"], piece)
    np.testing.assert_array_equal(read["computed"], piece + 1)


def test_a_mapped_array_takes_no_room_in_a_parcel(tmp_path: Path) -> None:
    mapped = np.lib.format.open_memmap(tmp_path / "numbers.npy", "w+", np.uint8, (1_000_000,))
    write_parcel(tmp_path / "parcel", mapped)
    assert (tmp_path / "parcel").stat().st_size < 2000


def _parts() -> list[Callable[[], Part]]:
    torch.manual_seed(0)
    rows = [(torch.randn(8, 4), torch.randn(8, 2)) for _ in range(3)]
    return [partial(_same, part) for part in rows]


def _same(part: Part) -> Part:
    return part


def _loss_of(network: nn.Module, part: Part) -> Tensor:
    return ((network(part[0]).float() - part[1]) ** 2).sum() / 24


def _join(parts: list[Part]) -> Part:
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def _network() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    return network, torch.optim.SGD(network.parameters(), lr=0.05)


def _learn(precision: torch.dtype | None, threaded: bool = False, steps: int = 30) -> tuple[nn.Module, list[float]]:
    network, optimiser = _network()
    learner = (
        ThreadedLearner(network, optimiser, _loss_of, 2)
        if threaded
        else DeviceLearner(Place(_CPU, precision), network, optimiser, _loss_of, _join, 2)
    )
    losses = []
    for _ in range(steps):
        losses.append(float(learner.set_gradients(_parts())))
        learner.step()
    inside, whole = learner.clock()
    learner.close()
    assert 0 < inside <= whole
    return network, losses


def test_both_learners_learn_the_same() -> None:
    (one, losses), (other, others) = _learn(None, threaded=True), _learn(None)
    np.testing.assert_allclose(losses, others, rtol=1e-4)
    for weights, same in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(weights, same, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_lower_precision_learns_about_the_same_and_keeps_weights_in_float32(precision: torch.dtype) -> None:
    exact = _learn(None)[1]
    network, losses = _learn(precision)
    assert losses[-1] < 0.9 * losses[0]
    np.testing.assert_allclose(losses, exact, rtol=0.05)
    assert {weights.dtype for weights in network.parameters()} == {torch.float32}
