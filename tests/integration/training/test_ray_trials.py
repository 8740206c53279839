"""Trials on a Ray cluster of two nodes, both on this machine."""

import importlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sightsmith_training.engine.classification.fine_tuning import Recipe
from sightsmith_training.engine.classification.folds import plan_folds
from sightsmith_training.engine.classification.halving import Budget, halve
from sightsmith_training.engine.classification.heads import fit_heads
from sightsmith_training.engine.classification.kept import Kept
from sightsmith_training.engine.classification.tuned_network import to_planes
from sightsmith_training.engine.classification.tuning_candidate import RUNGS, TuningCandidate, TuningGround
from sightsmith_training.engine.distribution.ray_trials import open_trials
from sightsmith_training.engine.distribution.trials import InProcessTrials, Trials
from sightsmith_training.engine.errors import TrainingError

from ...unit.training_engine.classification.shapes import patches, small_backbone

pytest.importorskip("ray")
from . import ray_work

_STORE = 100 * 1024 * 1024


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    os.environ["RAY_TRAIN_ENABLE_STATE_TRACKING"] = "0"
    # Its processes must find the work that these tests give them.
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[3])
    head = {"num_cpus": 1, "object_store_memory": _STORE, "include_dashboard": False}
    nodes = importlib.import_module("ray.cluster_utils").Cluster(initialize_head=True, head_node_args=head)
    nodes.add_node(num_cpus=1, object_store_memory=_STORE)
    nodes.wait_for_nodes()
    try:
        yield nodes
    finally:
        nodes.shutdown()


@pytest.fixture(scope="module")
def trials(cluster: Any) -> Iterator[Trials]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with open_trials(cluster.address, 1, InProcessTrials()) as opened:
        yield opened
    torch.set_num_threads(threads)


def test_both_nodes_have_a_part_and_shared_values_arrive(trials: Trials, tmp_path: Path) -> None:
    assert trials.at_once == 2
    pixels = np.lib.format.open_memmap(tmp_path / "pixels.npy", "w+", np.uint8, (1000,))
    pixels[:] = np.arange(1000) % 256
    shared = trials.share(pixels[100:])
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(lambda _: trials.run(ray_work.meet, shared), range(4)))
    assert len({node for node, _ in told}) == 2
    assert {total for _, total in told} == {int(pixels[100:].sum())}


def test_a_search_finds_what_it_finds_in_process(trials: Trials, tmp_path: Path) -> None:
    alone, together = (_race(each, tmp_path / name) for each, name in ((InProcessTrials(), "a"), (trials, "b")))
    for one, other in zip(alone, together, strict=True):
        assert (one.rungs, one.score, bool(one.dropped)) == (other.rungs, other.score, bool(other.dropped))
        np.testing.assert_allclose(
            one.contender.trial(0.0, "").logits, other.contender.trial(0.0, "").logits, rtol=1e-5, atol=1e-5
        )
    assert sorted(file.name for file in (tmp_path / "a").iterdir()) == sorted(
        file.name for file in (tmp_path / "b").iterdir()
    )


def test_errors_of_the_work_come_through(trials: Trials) -> None:
    with pytest.raises(TrainingError) as raised:
        trials.run(ray_work.refuse)
    assert raised.value.failure.reason == "DISK_FULL"


def test_what_a_lost_process_was_at_is_done_again(trials: Trials, tmp_path: Path) -> None:
    assert trials.run(ray_work.die_once, tmp_path / "died") == "done"


def test_members_on_both_nodes_train_one_network(trials: Trials) -> None:
    pytest.importorskip("pyarrow")
    pixels, truth = patches(24)
    losses, size, nodes = trials.run(ray_work.train_together, trials.share(pixels), truth, members=2)
    alone = ray_work.train_together(pixels, truth, advance=lambda share: None)
    assert (size, len(nodes)) == (2, 2)
    np.testing.assert_allclose(losses, alone[0], rtol=2e-4)


def test_a_cluster_out_of_reach_is_a_dependency() -> None:
    with pytest.raises(TrainingError) as raised, open_trials("127.0.0.1:1", 1, InProcessTrials()):
        pass
    assert raised.value.failure.reason == "DEPENDENCY_UNAVAILABLE"


def _race(trials: Trials, folder: Path) -> list[Any]:
    folder.mkdir()
    pixels, truth = patches(30)
    features = small_backbone()(to_planes(pixels)).detach().numpy()
    folds = [fold for fold in plan_folds(truth, 0) if fold.repetition == 0][:1]
    ground = TuningGround(pixels, truth, "softmax", folds, Kept(folder), 3, 1, trials)

    def head(rows: Any) -> Any:
        *_, last = fit_heads(np.sqrt(features[rows] + 1e-3), truth[rows], "softmax", [0.3])
        return last

    candidates = [
        TuningCandidate("small", 0.001, small_backbone, head, Recipe(body_rate=rate), ground)
        for rate in (1e-3, 1e-2, 1e-4)
    ]
    return halve(candidates, len(RUNGS), Budget(300.0), at_once=trials.at_once)
