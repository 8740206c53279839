"""The report of a real training of a small set."""

import json
from pathlib import Path

import pytest

from sightsmith.names import ModelName
from sightsmith.objects import Objects, open_object_store
from sightsmith.output_places import OutputPlaces
from sightsmith_training.engine.contract import TrainingResult
from sightsmith_training.report_outputs import ReportOutputs
from sightsmith_training.report_publishing import ReportPublishing

from .conftest import Run
from .photos import Project, crops


@pytest.fixture
async def report(trained: Run, trained_project: Project) -> dict[str, Path]:
    """The files, by their names without project and version."""
    spec = trained_project.spec(crops(trained_project))
    store = open_object_store(spec.object_store_url)
    outputs = ReportOutputs(OutputPlaces([], spec.object_store_url), timeout_seconds=10)
    publishing = ReportPublishing(Objects(store), outputs, most_thumbnails=300)
    report = await publishing.publish(ModelName("p", "v1"), "projects/p/snapshots/1", spec, trained.result)
    assert not report.problems
    return {file.path.partition("-")[0]: trained_project.store / file.key for file in report.files}


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_its_figures_are_those_of_the_evaluation(report: dict[str, Path], trained: Run) -> None:
    evaluation = trained.result.evaluation
    (summary,) = read(report["EvaluationResultSummary"])
    told = summary["AggregatedEvaluationResults"]
    assert (told["Precision"], told["Recall"], told["F1Score"]) == (
        evaluation.macro_precision,
        evaluation.macro_recall,
        evaluation.macro_f1,
    )
    page = report["report.html"].read_text()
    assert f'<p class="value">{evaluation.macro_f1:.3f}</p>' in page
    assert f'<p class="value">{evaluation.accuracy:.3f}</p>' in page
    rows = {one["Label"]: one for one in summary["LabelEvaluationResults"]}
    for label in evaluation.per_label:
        row = rows[label.label]
        assert (row["NumberOfTestingImages"], row["Metrics"]) == (
            label.images,
            {"Threshold": label.threshold, "Precision": label.precision, "Recall": label.recall, "F1Score": label.f1},
        )


def test_its_files_hold_every_image(report: dict[str, Path], trained: Run) -> None:
    result = trained.result
    assert len(report) == 7
    (manifest,) = read(report["ManifestSummary"])
    assert counts(manifest, "training") == (result.training_images, result.training_images)
    assert counts(manifest, "testing") == (result.test_images, result.test_images)
    assert len(read(report["TrainingGroundTruth"])) == result.training_images
    assert len(read(report["TestingGroundTruth"])) == result.test_images
    assert report["report.html"].read_text().count("<img ") == result.test_images


def counts(manifest: dict, split: str) -> tuple[int, int]:
    statistics = manifest["statistics"][split]
    return statistics["total_json_lines"], statistics["valid_json_lines"]


def test_its_snapshot_tells_what_the_model_says(report: dict[str, Path], trained: Run) -> None:
    predictions = {prediction.source: prediction for prediction in trained.result.predictions}
    for line in read(report["TestingGroundTruth"]):
        prediction = source_of(line, trained.result)
        predicted = [
            value["class-name"]
            for key, value in line.items()
            if key.startswith("rekognition-custom-labels-evaluation-") and key.endswith("-metadata")
            if not value["rekognition-custom-labels-evaluation-details"]["is-false-negative"]
        ]
        assert predicted == predictions[prediction].predicted_labels


def source_of(line: dict, result: TrainingResult) -> str:
    return result.predictions[line["rekognition-custom-labels-object-id"] - 1].source
