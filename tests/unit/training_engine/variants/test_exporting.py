"""Variants beside what a training has exported."""

import hashlib
import time
from dataclasses import replace
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from sightsmith_training.engine.exports import write_export
from sightsmith_training.engine.job import Job
from sightsmith_training.engine.specification import TrainingOptions, TrainingSpec
from sightsmith_training.engine.tasks import TaskDecision
from sightsmith_training.engine.variants.exporting import (
    ExportedVariants,
    expected_variant_seconds,
    export_variants,
)
from sightsmith_training.engine.variants.variant import Judge

from . import graphs

PICTURES, TRUTH = graphs.pictures(4, seed=7)


def job_in(folder: Path, options: TrainingOptions, seconds: float = 600) -> Job:
    spec = TrainingSpec(
        entries=[],
        object_store_url="memory:///",
        checkpoint_prefix="checkpoints",
        backbone_prefix="backbones",
        output_dir=folder,
        seed=0,
        options=options,
    )
    decision = TaskDecision("classification", "It was asked for.")
    return Job(spec, decision, 2, folder, MemoryStore(), time.monotonic() + seconds, [])


def exported(folder: Path, model: bytes) -> ExportedVariants:
    write_export(folder, "onnx", model)
    judge = Judge(lambda answers: float((answers[0].argmax(axis=1) == TRUTH).mean()))
    shares: list[float] = []
    variants = export_variants(job_in(folder, TrainingOptions()), PICTURES, PICTURES, judge, shares.append)
    assert shares == sorted(shares)
    return variants


def files_of(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_kept_variants_lie_beside_the_model(tmp_path: Path) -> None:
    told = exported(tmp_path, graphs.classifier())
    assert files_of(tmp_path) == {"onnx/1/model.onnx", "onnx_fp16/1/model.onnx", "onnx_int8/1/model.onnx"}
    assert [file.format for file in told.files] == ["onnx_fp16", "onnx_int8"]
    for file in told.files:
        data = (tmp_path / file.path).read_bytes()
        assert (file.size_bytes, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    for variant in told.variants:
        assert (variant.kept, variant.images) == (True, len(PICTURES))
        assert variant.figure is not None
        assert variant.full_figure is not None
        assert variant.full_figure - variant.figure <= 0.01
    assert {each.runtime: each.format for each in told.recommendations}["onnxruntime-cuda"] == "onnx_fp16"


def test_a_variant_that_cannot_be_written_is_told_and_the_others_stay(tmp_path: Path) -> None:
    (tmp_path / "onnx_int8").write_text("in the way")
    told = exported(tmp_path, graphs.classifier())
    half, eight = told.variants
    assert (half.kept, eight.kept) == (True, False)
    assert eight.reason.startswith("it cannot be written: ")
    assert [file.format for file in told.files] == ["onnx_fp16"]
    assert {each.runtime: each.format for each in told.recommendations}["onnxruntime-cpu"] == "onnx"


def test_a_model_that_does_not_run_fails_nothing(tmp_path: Path) -> None:
    told = exported(tmp_path, b"no model")
    assert [(variant.format, variant.kept) for variant in told.variants] == [("onnx_fp16", False), ("onnx_int8", False)]
    assert all(variant.reason.startswith("it cannot be made: ") for variant in told.variants)
    assert (told.files, told.recommendations) == ((), ())
    assert files_of(tmp_path) == {"onnx/1/model.onnx"}


@pytest.mark.parametrize(
    ("options", "tries"),
    [
        (TrainingOptions(), True),
        (TrainingOptions(effort="best"), True),
        (TrainingOptions(effort="fast"), False),
        (TrainingOptions(effort="fast", variants="all"), True),
        (TrainingOptions(variants="none"), False),
    ],
)
def test_quick_trainings_try_none_unless_asked(tmp_path: Path, options: TrainingOptions, tries: bool) -> None:
    assert options.tries_variants is tries
    assert (expected_variant_seconds(job_in(tmp_path, options), 0.01, 100) > 0) is tries


def test_time_is_not_kept_back_for_more_images_than_are_compared(tmp_path: Path) -> None:
    job = job_in(tmp_path, TrainingOptions())
    few, enough, many = (expected_variant_seconds(job, 0.01, images) for images in (50, 200, 9999))
    assert few < enough == many


def test_variants_that_nobody_asked_for_are_left_out_when_the_time_is_up(tmp_path: Path) -> None:
    judge = Judge(lambda answers: 1.0)
    job = job_in(tmp_path, TrainingOptions(), seconds=0)
    told = export_variants(job, PICTURES, PICTURES, judge, lambda share: None)
    assert (told.files, told.recommendations) == ((), ())
    assert [variant.reason for variant in told.variants] == ["it was not tried: no time was left"] * 2


def test_a_budget_that_was_not_kept_is_told(tmp_path: Path) -> None:
    options = TrainingOptions(budget_seconds=300)
    assert [job_in(tmp_path, options, seconds).budget_exceeded for seconds in (20, -14)] == ["", ""]
    assert not job_in(tmp_path, TrainingOptions(effort="fast"), seconds=-60).budget_exceeded
    late = job_in(tmp_path, options, seconds=-60)
    assert late.budget_exceeded.startswith("The training took 360 s where its budget is 300 s: what")
    interrupted = replace(late, spec=late.spec.model_copy(update={"spent_seconds": 40.0}))
    assert "360 s where its budget is 300 s, 40 s of them in attempts that broke off: " in interrupted.budget_exceeded
