"""Files of a training that survive the machine."""

from pathlib import Path

from obstore.store import LocalStore

from sightsmith_training.engine.checkpoint_files import CheckpointFiles


def test_another_machine_finds_what_was_kept_for_the_same_images(tmp_path: Path) -> None:
    for name in ("store", "here", "there"):
        (tmp_path / name).mkdir()
    store = LocalStore(tmp_path / "store")
    here, there = tmp_path / "here/rung.pt", tmp_path / "there/rung.pt"
    here.write_bytes(b"weights" * 1000)
    CheckpointFiles(store, "checkpoints/job", "a" * 64).save(here)

    CheckpointFiles(store, "checkpoints/job", "b" * 64).restore(there)
    assert not there.exists()
    CheckpointFiles(store, "checkpoints/job", "a" * 64).restore(there)
    assert there.read_bytes() == here.read_bytes()
    assert [file.name for file in there.parent.iterdir()] == ["rung.pt"]


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    files = CheckpointFiles(LocalStore(tmp_path / "store"), "checkpoints/job", "a" * 64)
    file = tmp_path / "rung.pt"
    file.write_bytes(b"old")
    files.save(file)
    file.write_bytes(b"newer")
    files.restore(file)
    assert file.read_bytes() == b"newer"
