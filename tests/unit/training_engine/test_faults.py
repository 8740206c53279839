from collections.abc import Callable
from pathlib import Path

import numpy as np
import obstore
import pytest
import torch
from obstore.store import S3Store

from sightsmith_training.engine.catalogue import NANODET
from sightsmith_training.engine.faults import failure_of, told_of_log, without_paths
from sightsmith_training.weights.files import weights_files
from sightsmith_training.weights.store import WeightsStore


def _fill_a_device() -> None:
    with Path("/dev/full").open("wb", buffering=0) as file:
        file.write(b"x")


def _look_nowhere() -> None:
    weights_files(NANODET, WeightsStore(Path("/nowhere")))


def _ask_nobody() -> None:
    store = S3Store(
        "nothing",
        endpoint="http://127.0.0.1:9",
        access_key_id="a",
        secret_access_key="b",
        region="r",
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    obstore.get(store, "key")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (lambda: np.empty(2**60, np.uint8), "OUT_OF_MEMORY"),
        (lambda: torch.empty(2**60, dtype=torch.uint8), "OUT_OF_MEMORY"),
        (_fill_a_device, "DISK_FULL"),
        (lambda: torch.save({"weights": torch.zeros(1000)}, "/dev/full"), "DISK_FULL"),
        (_look_nowhere, "WEIGHTS_MISSING"),
        (_ask_nobody, "DEPENDENCY_UNAVAILABLE"),
        (lambda: {}["nothing"], "TRAINING_FAILED"),
    ],
)
def test_real_faults_are_told_by_their_reason(fault: Callable[[], object], reason: str) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of any type, which is what is tested
        fault()
    assert failure_of(caught.value).reason == reason


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cannot open /srv/work/j-1/model.pt: gone", "cannot open …: gone"),
        ("[Errno 2] No such file: '/srv/my work/a.pt'", "[Errno 2] No such file: …"),
        ("GET http://minio:9000/bucket/key failed", "GET … failed"),
        ("(/a/b)", "(…)"),
        ("projects/shop/images/1 has 3/4 of cat and/or dog", "projects/shop/images/1 has 3/4 of cat and/or dog"),
    ],
)
def test_paths_of_machines_are_not_told(text: str, told: str) -> None:
    assert without_paths(text) == told


def test_of_a_log_the_last_lines_but_no_stack_is_told() -> None:
    log = 'one\ntwo\nTraceback:\n  File "/srv/a.py", line 1, in f\n    f()\nKeyError: 3\n\n'
    assert told_of_log(log) == "two\nTraceback:\nKeyError: 3"
    assert told_of_log("") == ""
