"""Whole trainings of detectors, as a worker asks for them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sightsmith_training.engine.contract import Failure
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.specification import SpecBox, SpecEntry, Split, TrainingOptions
from sightsmith_training.engine.training import train
from tests.drawn_scenes import SIDE, draw_scenes

from ..photos import Project

OPTIONS = TrainingOptions(effort="balanced", budget_seconds=10, preference="speed")


def scenes(project: Project, count: int, split: Split) -> list[SpecEntry]:
    entries = []
    for scene in draw_scenes(count, seed=len(split)):
        boxes = [SpecBox(label=label, left=x, top=y, width=w, height=h) for label, x, y, w, h in scene.boxes]
        entry = project.put(f"{split}-{scene.name}", scene.encoded, split, [])
        entries.append(entry.model_copy(update={"boxes": boxes, "width": SIDE, "height": SIDE}))
    return entries


def broken(project: Project, entry: SpecEntry) -> SpecEntry:
    name = entry.image.rpartition("/")[2]
    other = project.put(name, (project.store / entry.key).read_bytes()[:200] + name.encode(), entry.split, [])
    return entry.model_copy(update={"sha256": other.sha256, "key": other.key})


def labelled(entry: SpecEntry, label: str) -> SpecEntry:
    return entry.model_copy(update={"boxes": [box.model_copy(update={"label": label}) for box in entry.boxes]})


def test_whenever_it_is_killed_it_goes_on(project: Project, tmp_path: Path) -> None:
    spec = project.spec([*scenes(project, 8, "train"), *scenes(project, 2, "test")], options=OPTIONS, threads=2)
    (tmp_path / "spec.json").write_text(spec.model_dump_json())
    # In the middle of the trial and of the last training: of two pieces of each, the first one has been kept.
    ends = ["reading:1", "searching:4", "fitting:5", "exporting:1"]
    program = [sys.executable, "-W", "ignore", "-m", f"{__package__}.killed_training"]
    done = subprocess.run([*program, str(tmp_path / "spec.json"), *ends], capture_output=True, text=True, check=True)
    *killed, last = map(json.loads, done.stdout.splitlines())
    assert [attempt["went_on"] for attempt in killed] == [[], [], [5], [10, 5]]
    assert last["went_on"] == [10, 10]
    for artifact in last["artifacts"]:
        assert (project.folder / "output" / artifact["path"]).stat().st_size == artifact["size_bytes"]


def failure_of(project: Project, entries: list[SpecEntry], options: TrainingOptions = OPTIONS) -> Failure:
    """How a training is refused that trains nothing, and leaves nothing behind."""
    with pytest.raises(TrainingError) as caught:
        train(project.spec(entries, options=options, threads=2), lambda progress: None)
    assert not (project.folder / "output").exists()
    assert not (project.store / "checkpoints").exists()
    return caught.value.failure


def test_background_alone_teaches_nothing(project: Project) -> None:
    entries = [entry.model_copy(update={"boxes": []}) for entry in scenes(project, 4, "train")]
    failure = failure_of(project, entries, TrainingOptions(task="detection"))
    assert failure.reason == "NOT_ENOUGH_DATA"
    assert failure.violations[0].field == "task"
    assert "no training image has a box" in failure.message


def test_what_nothing_could_judge_is_refused_before_it_is_trained(project: Project) -> None:
    entries = [labelled(entry, "sign") for entry in scenes(project, 8, "train") if entry.boxes]
    failure = failure_of(project, entries[:5])
    assert failure.reason == "NOT_ENOUGH_DATA"
    assert failure.metadata == {"training_images_with_boxes": "5", "min_training_images_with_boxes": "6"}
    assert "give test images, or more training images" in failure.message


def test_images_that_are_broken_are_named_from_a_fifth_on(project: Project) -> None:
    entries = scenes(project, 10, "train")
    failure = failure_of(project, [broken(project, entry) if row < 3 else entry for row, entry in enumerate(entries)])
    assert failure.reason == "TOO_MANY_UNUSABLE_IMAGES"
    assert {violation.field for violation in failure.violations} == {entry.image for entry in entries[:3]}


def test_a_label_that_broken_images_starve_is_named(project: Project) -> None:
    entries = [entry for entry in scenes(project, 30, "train") if entry.boxes]
    rare = [labelled(entry, "rare") for entry in entries[:3]]
    failure = failure_of(project, [broken(project, rare[0]), *rare[1:], *entries[3:]])
    assert failure.reason == "NOT_ENOUGH_DATA"
    assert [violation.field for violation in failure.violations] == ["labels['rare']"]
