"""Letting a finished model answer images: by its exported file, with the very pixels that inference gives it."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from sightsmith.images import decode_square
from sightsmith_training.engine.answering import answer
from sightsmith_training.engine.contract import INPUT_NAME, MESSAGE, Answers, Failure, Finished, Progress
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.result_file import read_result
from sightsmith_training.engine.specification import AnsweringSpec, SpecBox, SpecEntry, Task
from tests.tiny_models import COLOURS, HALVES, SIDE, colour_classifier, picture, red_half_detector

PICTURES = [
    picture(*colours, shade=number) for number, colours in enumerate([("red",), ("blue", "red"), ("lime",)] * 3)
]


def entry(store: Path, name: str, data: bytes, **values: object) -> SpecEntry:
    key = f"images/{name}"
    (store / key).parent.mkdir(parents=True, exist_ok=True)
    (store / key).write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    return SpecEntry(
        image=name, sha256=sha256, key=key, split="test", width=64, height=48, source=f"{name}.png", **values
    )


def entries_of(store: Path) -> list[SpecEntry]:
    return [entry(store, f"i-{number}", data, labels=["red"]) for number, data in enumerate(PICTURES)]


def spec(store: Path, entries: Sequence[SpecEntry], task: Task = "classification", model: bytes = b"") -> AnsweringSpec:
    model = model or (red_half_detector() if task == "detection" else colour_classifier())
    (store / "model.onnx").write_bytes(model)
    return AnsweringSpec(
        entries=list(entries),
        object_store_url=store.as_uri(),
        output_dir=store / "answers",
        model_key="model.onnx",
        model_sha256=hashlib.sha256(model).hexdigest(),
        task=task,
        labels=list(COLOURS),
        image_side=SIDE,
        threads=2,
    )


def test_scores_are_those_of_the_file_for_the_pixels_of_inference(tmp_path: Path) -> None:
    entries = entries_of(tmp_path)
    answers = answer(spec(tmp_path, entries), lambda progress: None)
    session = onnxruntime.InferenceSession(colour_classifier(), providers=["CPUExecutionProvider"])
    pixels = np.stack([decode_square(data, SIDE) for data in PICTURES])
    expected = session.run(None, {INPUT_NAME: pixels})[0]
    np.testing.assert_allclose([prediction.scores for prediction in answers.predictions], expected, atol=1e-6)
    assert [prediction.image for prediction in answers.predictions] == [entry.image for entry in entries]
    first = answers.predictions[0]
    assert (first.true_labels, first.source, first.width, first.height) == (["red"], "i-0.png", 64, 48)
    assert first.confidence == max(first.scores) == first.scores[COLOURS.index("red")] > 0.9


def test_boxes_are_told_in_pixels_of_the_image(tmp_path: Path) -> None:
    truth = SpecBox(label="red", left=33, top=1, width=30, height=46)
    half_red = entry(tmp_path, "half", picture("black", "red"), boxes=[truth])
    black = entry(tmp_path, "black", picture("black"))
    found, nothing = answer(spec(tmp_path, [half_red, black], "detection"), lambda progress: None).predictions
    box = max(found.detections, key=lambda box: box.confidence)
    left, top, right, bottom = HALVES[1]
    assert (box.left, box.top) == (64 * left, 48 * top)
    assert (box.width, box.height) == (64 * (right - left), 48 * (bottom - top))
    assert (box.label, found.true_labels, found.true_boxes, found.scores) == ("red", ["red"], [truth], [])
    assert found.confidence == box.confidence == pytest.approx(1, abs=0.1)
    assert (nothing.detections, nothing.confidence, nothing.true_labels) == ([], 0, [])


def test_unusable_images_are_left_out_and_told(tmp_path: Path) -> None:
    entries = entries_of(tmp_path)
    (tmp_path / entries[4].key).unlink()
    told: list[Progress] = []
    answers = answer(spec(tmp_path, entries), told.append)
    assert [prediction.image for prediction in answers.predictions] == [e.image for e in entries if e != entries[4]]
    assert [violation.field for violation in answers.unusable_images] == ["i-4"]
    assert (told[-1].percent, told[-1].phase) == (100, "evaluating")


def test_too_many_unusable_images_are_a_failure(tmp_path: Path) -> None:
    entries = entries_of(tmp_path)
    for spoilt in entries[:2]:
        (tmp_path / spoilt.key).write_bytes(b"no image")
    with pytest.raises(TrainingError) as caught:
        answer(spec(tmp_path, entries), lambda progress: None)
    assert caught.value.failure.reason == "TOO_MANY_UNUSABLE_IMAGES"
    assert [violation.field for violation in caught.value.failure.violations] == ["i-0", "i-1"]


@pytest.mark.parametrize(("file", "problem"), [(None, "is not in the object store"), (b"other", "is not the one")])
def test_another_model_than_the_exported_one_is_refused(tmp_path: Path, file: bytes | None, problem: str) -> None:
    wanted = spec(tmp_path, entries_of(tmp_path))
    (tmp_path / "model.onnx").unlink()
    if file is not None:
        (tmp_path / "model.onnx").write_bytes(file)
    with pytest.raises(TrainingError, match=f"model.onnx {problem}"):
        answer(wanted, lambda progress: None)


def test_as_a_program_it_needs_no_torch(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(spec(tmp_path, entries_of(tmp_path)).model_dump_json())
    # A folder in place of torch: importing it, by whomever, fails.
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text("raise RuntimeError('torch was imported')")
    done = subprocess.run(
        [sys.executable, "-m", "sightsmith_training.engine", str(tmp_path / "spec.json")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    *progress, finished = map(MESSAGE.validate_json, done.stdout.splitlines())
    assert isinstance(finished, Finished), done.stderr
    assert done.returncode == 0
    outcome = read_result(finished.path)
    assert isinstance(outcome, Answers)
    assert len(outcome.predictions) == len(PICTURES)
    assert [message for message in progress if isinstance(message, Progress)] == progress != []


def test_a_specification_of_no_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text('{"kind": "guessing"}')
    done = subprocess.run(
        [sys.executable, "-m", "sightsmith_training.engine", str(tmp_path / "spec.json")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    outcome = MESSAGE.validate_json(done.stdout)
    assert isinstance(outcome, Failure)
    assert (done.returncode, outcome.message) == (1, "spec.json is not a specification")
    assert "guessing" in outcome.violations[0].description
