"""Images that can be read when a detector's training begins, and not any more when it is judged."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sightsmith_training.engine.detection_samples import DetectionSamples, select_detection_samples
from sightsmith_training.engine.detector_training import _DetectorTraining, _Judged
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.job import Job
from sightsmith_training.engine.progress import ProgressMeter
from sightsmith_training.engine.samples import Pixels
from sightsmith_training.engine.specification import SpecBox, SpecEntry
from sightsmith_training.engine.tasks import decide_task
from tests.drawn_scenes import SIDE, draw_scenes

from .photos import Project

_TRAINING, _TEST = 7, 6


@pytest.fixture
def entries(project: Project) -> list[SpecEntry]:
    found = []
    for number, scene in enumerate(draw_scenes(_TRAINING + _TEST, seed=5)):
        boxes = [SpecBox(label=label, left=x, top=y, width=w, height=h) for label, x, y, w, h in scene.boxes]
        entry = project.put(scene.name, scene.encoded, "train" if number < _TRAINING else "test", [])
        found.append(entry.model_copy(update={"boxes": boxes, "width": SIDE, "height": SIDE}))
    return found


def _find(pixels: Pixels) -> tuple[Any, Any, Any]:
    """A detection in a corner of every image."""
    count = len(pixels)
    return (
        np.full((count, 1, 4), 0.25, np.float32),
        np.full((count, 1), 0.5, np.float32),
        np.zeros((count, 1), np.int32),
    )


@pytest.fixture
def judge(project: Project, entries: list[SpecEntry]) -> Iterator[Callable[..., tuple[_Judged, list[str]]]]:
    """Judges by the images that are there, and says which ones were missed."""
    spec = project.spec(entries, threads=1)
    with Job.begin(spec, decide_task(entries, "detection")) as job:

        def judge(samples: DetectionSamples, judgement: object = None) -> tuple[_Judged, list[str]]:
            training = _DetectorTraining(job, ProgressMeter({"evaluating": 1.0}, lambda told: None), Path("none"), 64)
            found: Any = SimpleNamespace(side=64, seen_side=64, judgement=judgement)
            return training._judge(_find, samples, found), [image.entry.image for image in training._gone]

        yield judge


def _delete(project: Project, *entries: SpecEntry) -> None:
    for entry in entries:
        (project.store / entry.key).unlink()


def test_a_test_image_that_vanishes_is_left_out_and_named(
    project: Project, entries: list[SpecEntry], judge: Callable[..., tuple[_Judged, list[str]]]
) -> None:
    samples = select_detection_samples(entries, 0.2)
    first, *others = samples.entries[samples.training :]
    _delete(project, first)
    judged, gone = judge(samples)
    assert gone == [first.image]
    assert (judged.samples.training, judged.samples.test) == (samples.training, len(others))
    assert [judged.samples.entries[row] for row in judged.rows] == others
    assert len(judged.detections) == len(judged.squares) == len(judged.shown) == len(others)


def test_more_than_a_fifth_of_them_fail_the_training(
    project: Project, entries: list[SpecEntry], judge: Callable[..., tuple[_Judged, list[str]]]
) -> None:
    _delete(project, *entries[-2:])
    with pytest.raises(TrainingError) as caught:
        judge(select_detection_samples(entries, 0.2))
    assert caught.value.failure.reason == "TOO_MANY_UNUSABLE_IMAGES"
    assert {violation.field for violation in caught.value.failure.violations} == {entry.image for entry in entries[-2:]}


def test_held_out_images_were_judged_before_and_stay(
    project: Project, entries: list[SpecEntry], judge: Callable[..., tuple[_Judged, list[str]]]
) -> None:
    samples = select_detection_samples(entries[:_TRAINING], 0.2)
    rows = np.arange(samples.training)[:6]
    gone = samples.entries[2]
    _delete(project, gone)
    judged, missed = judge(samples, SimpleNamespace(rows=rows, detections=["of each"] * 6))
    assert missed == [gone.image]
    assert judged.rows == rows.tolist()
    assert judged.shown == [0, 1, 3, 4, 5]
    assert len(judged.squares) == 5
