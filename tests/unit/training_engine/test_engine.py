"""Whole runs of the engine as the worker starts it."""

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from sightsmith.images import decode_square
from sightsmith_training.engine.contract import INPUT_NAME, MESSAGE, OUTPUT_NAME, Candidate, Progress
from sightsmith_training.engine.exports import load_traced
from sightsmith_training.engine.specification import TrainingOptions

from .conftest import Run, run_engine, start_engine
from .photos import Project, crops

PHASES = ["reading", "embedding", "searching", "fitting", "evaluating", "exporting", "checking"]


def feature_checkpoints(project: Project) -> list[Path]:
    return sorted((project.store / "checkpoints/job").glob("*.npz"))


def untimed(candidate: Candidate) -> Candidate:
    return candidate.model_copy(update={"seconds": 0.0})


def test_it_learns(trained: Run) -> None:
    result = trained.result
    assert trained.status == 0
    assert result.labels == ["cat", "coffee", "flower", "temple"]
    assert (result.training_images, result.test_images, result.ignored_images) == (24, 12, 0)
    assert result.evaluation.evaluated_on == "test"
    assert result.evaluation.accuracy >= 0.9
    assert result.chosen in result.candidates
    assert np.sum(result.evaluation.confusion_matrix) == 12


def test_every_test_image_is_predicted(trained: Run) -> None:
    predictions = trained.result.predictions
    assert len({prediction.image for prediction in predictions}) == 12
    for prediction in predictions:
        assert [prediction.source.startswith(label) for label in prediction.true_labels] == [True]
        assert sum(prediction.scores) == pytest.approx(1, abs=1e-5)
        assert prediction.confidence == pytest.approx(max(prediction.scores))
        best = trained.result.labels[int(np.argmax(prediction.scores))]
        assert prediction.predicted_labels in ([best], [])


def test_exports_say_what_the_network_says(trained: Run) -> None:
    parity = trained.result.parity
    assert parity.label_agreement == 1
    assert max(parity.onnx, parity.torchscript) <= parity.tolerance == 1e-4
    assert parity.images == 12


def test_artifacts_are_as_listed(trained: Run, trained_project: Project) -> None:
    for artifact in trained.result.artifacts:
        data = (trained_project.folder / "output" / artifact.path).read_bytes()
        assert hashlib.sha256(data).hexdigest() == artifact.sha256
        assert len(data) == artifact.size_bytes
    written = {str(file.relative_to(trained_project.folder / "output")) for file in _files(trained_project)}
    assert written == {"onnx/1/model.onnx", "torchscript/1/model.pt", "result.jsonl"}


def _files(project: Project) -> list[Path]:
    return [file for file in (project.folder / "output").rglob("*") if file.is_file()]


def test_the_onnx_file_alone_gives_what_the_engine_gave(trained: Run, trained_project: Project) -> None:
    file = trained_project.folder / "output/onnx/1/model.onnx"
    onnx.checker.check_model(onnx.load(file), full_check=True)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    side = trained.result.image_side
    assert (given.name, given.type, given.shape[1:]) == (INPUT_NAME, "tensor(uint8)", [side, side, 3])
    assert (made.name, made.type, made.shape[1:]) == (OUTPUT_NAME, "tensor(float)", [4])
    assert json.loads(session.get_modelmeta().custom_metadata_map["labels"]) == trained.result.labels
    pixels, expected = pixels_and_scores(trained, trained_project)
    for count in (1, 5, 12):
        scores = session.run(None, {INPUT_NAME: pixels[:count]})[0]
        np.testing.assert_allclose(scores, expected[:count], atol=1e-4)


def test_the_torchscript_file_alone_gives_what_the_engine_gave(trained: Run, trained_project: Project) -> None:
    module = load_traced(trained_project.folder / "output/torchscript/1/model.pt")
    pixels, expected = pixels_and_scores(trained, trained_project)
    for count in (1, 5, 12):
        np.testing.assert_allclose(module(torch.from_numpy(pixels[:count])).numpy(), expected[:count], atol=1e-4)


def pixels_and_scores(trained: Run, project: Project) -> tuple[np.ndarray, np.ndarray]:
    keys = {entry.image: entry.key for entry in crops(project)}
    predictions = trained.result.predictions
    encoded = [(project.store / keys[prediction.image]).read_bytes() for prediction in predictions]
    pixels = np.stack([decode_square(data, trained.result.image_side) for data in encoded])
    return pixels, np.array([prediction.scores for prediction in predictions])


def test_progress_goes_forward(trained: Run) -> None:
    percents = [message.percent for message in trained.progress]
    assert percents == sorted(percents)
    assert percents[0] == 0
    assert percents[-1] == 100
    phases = list(dict.fromkeys(message.phase for message in trained.progress))
    assert phases == PHASES
    assert trained.progress[-1].remaining_seconds == 0
    assert trained.progress[-1].best_score == max(c.score_mean for c in trained.result.candidates)
    assert set(trained.result.phase_seconds) == {"starting", *PHASES}


def test_known_deprecations_are_silent(trained: Run) -> None:
    assert "is deprecated" not in trained.errors


def test_the_same_seed_gives_the_same_bytes(trained: Run, trained_project: Project, project: Project) -> None:
    """In another store, with another order of entries and another number of threads."""
    spec = project.spec(crops(project)[::-1], threads=1)
    again = run_engine(spec, project.folder).result
    assert untimed(again.chosen) == untimed(trained.result.chosen)
    assert again.artifacts == trained.result.artifacts
    assert again.predictions == trained.result.predictions


def test_a_killed_training_goes_on(trained: Run, trained_project: Project) -> None:
    spec = trained_project.spec(
        crops(trained_project), checkpoint_prefix="checkpoints/killed", output_dir=trained_project.folder / "killed"
    )
    folder = trained_project.store / "checkpoints/killed"
    with start_engine(spec, trained_project.folder / "killed-run") as process:
        while not any(folder.glob("*.npz")) and process.poll() is None:
            time.sleep(0.005)
        process.kill()
    finished = {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.glob("*.npz")}
    assert finished
    # Objects are written beside and renamed, so only whole ones are seen; a store that is not so careful leaves this:
    (folder / "features-cut.npz").write_bytes(b"PK\3\4")
    result = run_engine(spec, trained_project.folder / "killed-run").result
    for file, (written, data) in finished.items():
        assert (file.stat().st_mtime_ns, file.read_bytes()) == (written, data)
    assert result.artifacts == trained.result.artifacts


@pytest.fixture(scope="module")
def repaired(trained: Run, trained_project: Project) -> Run:
    """The same training again, with variants, without its test images and after damage to what it had kept."""
    checkpoint = next(iter(feature_checkpoints(trained_project)))
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[: len(whole) // 2])
    backbone = next((trained_project.store / "backbones").glob("*.onnx"))
    backbone.write_bytes(backbone.read_bytes()[:-10])
    entries = [entry for entry in crops(trained_project) if entry.split == "train"]
    options = TrainingOptions(effort="fast", budget_seconds=600, variants="all")
    spec = trained_project.spec(entries, output_dir=trained_project.folder / "repaired", options=options)
    run = run_engine(spec, trained_project.folder / "repaired-run")
    assert checkpoint.read_bytes() == whole
    return run


def test_damaged_intermediates_are_made_again(trained: Run, repaired: Run) -> None:
    assert repaired.result.artifacts[:2] == trained.result.artifacts


def test_variants_are_made_where_they_are_asked_for(trained: Run, repaired: Run, trained_project: Project) -> None:
    assert (trained.result.variants, trained.result.recommendations) == ([], [])
    result = repaired.result
    assert [variant.format for variant in result.variants] == ["onnx_fp16", "onnx_int8"]
    assert result.variants[0].kept, result.variants[0].reason
    kept = [variant.format for variant in result.variants if variant.kept]
    assert [artifact.format for artifact in result.artifacts] == ["onnx", "torchscript", *kept]
    for artifact in result.artifacts:
        data = (trained_project.folder / "repaired" / artifact.path).read_bytes()
        assert hashlib.sha256(data).hexdigest() == artifact.sha256
    recommended = {each.format for each in result.recommendations}
    assert recommended <= {artifact.format for artifact in result.artifacts}


def test_without_test_images_it_is_judged_by_cross_validation(repaired: Run) -> None:
    result = repaired.result
    assert result.evaluation.evaluated_on == "cross_validation"
    assert len(result.predictions) == 24
    assert sum(label.images for label in result.evaluation.per_label) == 24
    assert result.parity.images == 24


def test_an_export_that_differs_is_a_failure(trained: Run, trained_project: Project) -> None:
    spec = trained_project.spec(
        crops(trained_project), parity_tolerance=0, output_dir=trained_project.folder / "strict"
    )
    run = run_engine(spec, trained_project.folder / "strict-run")
    assert run.status == 1
    assert run.failure.reason == "EXPORT_MISMATCH"
    assert float(run.failure.metadata["onnx"]) > 0
    assert run.failure.metadata["images"] == "12"


def test_it_ends_with_its_parent(project: Project) -> None:
    with start_engine(project.spec(crops(project)), project.folder) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert isinstance(MESSAGE.validate_json(process.stdout.readline()), Progress)
        process.stdin.close()
        assert process.wait(timeout=15) != 0


def test_a_whole_run_imports_no_grpc(trained: Run) -> None:
    """gRPC in a process that starts threads and loads torch is asking for trouble."""
    imported = {line.rsplit("|", 1)[1].strip() for line in trained.errors.splitlines() if "import time:" in line}
    assert "torch" in imported
    assert not [name for name in imported if name.split(".")[0] == "grpc"]


def test_the_contract_needs_neither_torch_nor_grpc() -> None:
    program = (
        "import sys, sightsmith_training.engine.contract\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'grpc', 'sklearn', 'onnxruntime')))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
