"""Child processes that download."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sightsmith_training.weights.downloading import Limits, run_watched
from sightsmith_training.weights.errors import WeightsError

PATIENT = Limits(seconds=30, quiet_seconds=30, size=10_000_000)


def run(folder: Path, program: str, limits: Limits = PATIENT, **options: object) -> str:
    return run_watched((sys.executable, "-c", program), folder, limits, **options)


def test_what_it_prints_comes_back_and_its_growth_is_seen(tmp_path: Path) -> None:
    seen: list[int] = []
    program = (
        "import os, time\n"
        "for number in range(4):\n"
        "    open(f'part{number}', 'wb').write(bytes(1000)); time.sleep(0.3)\n"
        "print(os.environ['MORE'])"
    )
    assert run(tmp_path, program, watch=seen.append, environment={"MORE": "here"}) == "here\n"
    assert seen == sorted(set(seen))
    assert seen[-1] >= 3000


def test_a_failure_says_what_the_program_said(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such host"):
        run(tmp_path, "import sys; sys.exit('no such host')")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(seconds=0.5, quiet_seconds=30, size=10**9), "took longer than 0 s"),
        (Limits(seconds=30, quiet_seconds=0.6, size=10**9), "nothing came for 1 s"),
        (Limits(seconds=30, quiet_seconds=30, size=5000), "larger than 5000 bytes"),
    ],
)
def test_a_download_that_passes_a_limit_is_ended(tmp_path: Path, limits: Limits, message: str) -> None:
    begin = time.monotonic()
    with pytest.raises(WeightsError, match=message):
        run(tmp_path, "import time; open('data', 'wb').write(bytes(6000)); time.sleep(20)", limits)
    assert time.monotonic() - begin < 5


def test_what_a_program_started_ends_with_it(tmp_path: Path) -> None:
    child = "import time; time.sleep(1.5); open('late', 'w')"
    with pytest.raises(WeightsError, match="took longer"):
        run(
            tmp_path,
            f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])",
            replace(PATIENT, seconds=0.5),
        )
    time.sleep(1.5)
    assert not (tmp_path / "late").exists()
