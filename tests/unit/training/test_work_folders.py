"""What a worker that was killed leaves behind is found by the next one, and nothing of a living one is."""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

from sightsmith.names import TrainingJobName
from sightsmith_training.leases import JobLease
from sightsmith_training.work_folders import clear_abandoned, process_folder, work_folder

KILLED = """
import os, signal, sys
from pathlib import Path
from sightsmith.folder_locks import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    signal.pause()
"""


def lease_of(job: str) -> JobLease:
    return JobLease(
        sequence=1,
        token=uuid.uuid4(),
        name=TrainingJobName("shop", job),
        snapshot="projects/shop/snapshots/1",
        manifest_key="key",
        manifest_sha256="0" * 64,
        attempt=1,
    )


def test_the_folder_of_a_living_worker_stays_until_it_is_done(tmp_path: Path) -> None:
    with work_folder(tmp_path / "work", lease_of("j-12ab")) as folder:
        (folder / "file").touch()
        assert clear_abandoned(tmp_path / "work") == []
        assert (folder / "file").exists()
    assert list((tmp_path / "work").iterdir()) == []


def test_leases_of_killed_workers_are_told_and_their_folders_removed(tmp_path: Path) -> None:
    lease = lease_of("j-12ab")
    folder = tmp_path / f"{lease.id}-{lease.token.hex}"
    folder.mkdir()
    (tmp_path / "labeling").mkdir()
    worker = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE)
    assert worker.stdout is not None
    worker.stdout.readline()
    assert clear_abandoned(tmp_path) == []
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    assert clear_abandoned(tmp_path) == [lease.token]
    assert [path.name for path in tmp_path.iterdir()] == ["labeling"]


def test_so_are_their_other_folders_but_none_that_has_just_been_made(tmp_path: Path) -> None:
    abandoned, fresh, old = (tmp_path / name for name in (f".engine-{uuid.uuid4().hex}", ".draft-new", ".draft-old"))
    for folder in (abandoned, fresh, old):
        folder.mkdir()
        (folder / "spec.json").touch()
    os.utime(old, (0, 0))
    with process_folder(tmp_path, "engine") as living:
        assert clear_abandoned(tmp_path) == []
        assert sorted(tmp_path.iterdir()) == sorted([living, fresh])


def test_a_folder_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    assert clear_abandoned(tmp_path / "work") == []


def test_the_time_of_a_lease_goes_on_from_that_of_earlier_attempts() -> None:
    lease = lease_of("j-12ab")
    assert 0 <= lease.worked_seconds < 10
    again = JobLease(**{**vars(lease), "seconds_before": 100.0})
    assert 100 <= again.worked_seconds < 110
