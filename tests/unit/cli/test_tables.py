"""What tables tell on a screen of 80 columns."""

import io

import pytest
from rich.console import Console, RenderableType

from sightsmith.api.labeling.v1.job_pb2 import JobFinding
from sightsmith.api.labeling.v1.validation_job_pb2 import ValidationResult
from sightsmith.api.training.v1.evaluation_pb2 import (
    Advice,
    ConfusionRow,
    DetectionMetrics,
    Evaluation,
    Interval,
    LabelMetrics,
)
from sightsmith.api.training.v1.model_comparison_pb2 import ComparedImage, ModelComparison
from sightsmith.api.training.v1.model_pb2 import Artifact, EvaluationSummary, Model, Recommendation, Variant
from sightsmith.cli.evaluation_tables import comparison_tables, evaluation_tables
from sightsmith.cli.validation import validation_report
from sightsmith.cli.variant_tables import variant_tables
from sightsmith.counting import counted

REASON = "it was tried and loses 0.031 of macro F1, more than the 0.010 that it may lose"


def printed(*items: RenderableType) -> str:
    file = io.StringIO()
    console = Console(file=file, width=80)
    for item in items:
        console.print(item)
    return file.getvalue()


def told(**changes) -> Evaluation:
    interval = Interval(lower=0.512, upper=0.934)
    metrics = [
        LabelMetrics(
            label=label, precision=0.75, recall=0.8, f1=0.774, f1_interval=interval, threshold=0.5, image_count=6
        )
        for label in ("golden retriever", "cat")
    ]
    return Evaluation(image_count=12, label_metrics=metrics, **changes)


def test_reasons_of_variants_have_a_line_of_their_own() -> None:
    model = Model(
        variants=[Variant(format=Artifact.FORMAT_ONNX_INT8, figure=0.8, full_figure=0.831, reason=REASON)],
        recommendations=[Recommendation(format=Artifact.FORMAT_ONNX, reason="it is the quickest")],
    )
    words = printed(*variant_tables(model))
    assert f"onnx_int8: {REASON}" in " ".join(words.split())
    assert len(words.splitlines()) < 20


def test_labels_can_be_read_beside_all_their_figures() -> None:
    words = printed(*evaluation_tables("v1", told()))
    assert "0.51–0.93" in words
    assert "golden" in words
    assert "…" not in words
    assert all(heading in words for heading in ("precision", "threshold", "missed", "images"))


def test_what_is_taken_for_what_is_told_most_frequent_first() -> None:
    counts = {"golden retriever": [5, 1, 0], "cat": [0, 4, 3], "": [0, 2, 9]}
    rows = [ConfusionRow(label=label, predicted_counts=row) for label, row in counts.items()]
    words = printed(*evaluation_tables("v1", told(confusion_matrix=rows)))
    told_rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in words.splitlines() if "│" in line]
    assert told_rows[-3:] == [["cat", "nothing", "3"], ["nothing", "cat", "2"], ["golden retriever", "cat", "1"]]
    assert "what is taken for what" not in printed(*evaluation_tables("v1", told()))


def test_figures_by_size_and_of_all_predictions_are_told_where_they_are_known() -> None:
    evaluation = told(detection=DetectionMetrics(map_small=0.25), summary=EvaluationSummary(micro_f1=0.625))
    words = printed(*evaluation_tables("v1", evaluation))
    assert "mAP50-95 of small boxes" in words
    assert "large boxes" not in words
    assert "0.625" in words


def test_one_of_anything_is_not_many() -> None:
    comparison = ModelComparison(
        baseline="v1", candidate="v2", image_count=1, baseline_right_count=1, baseline_right=[ComparedImage(image="i")]
    )
    words = " ".join(printed(*comparison_tables(comparison)).split())
    assert "1 image that only v1 gets right" in words
    assert "on 1 image " in words


@pytest.mark.parametrize(("count", "words"), [(0, "0 labels"), (1, "1 label"), (2, "2 labels")])
def test_counting(count: int, words: str) -> None:
    assert counted(count, "label") == words


def test_of_a_label_that_no_image_carries_nothing_is_told() -> None:
    unseen = LabelMetrics(label="owl", f1_interval=Interval(lower=0, upper=1), threshold=0.5, false_positive_count=2)
    evaluation = told()
    evaluation.label_metrics.append(unseen)
    (row,) = [line.split() for line in printed(*evaluation_tables("v1", evaluation)).splitlines() if "owl" in line]
    assert row == ["owl", "–", "–", "–", "0.500", "0", "2", "0", "0"]


def test_advice_names_the_images_where_they_are_few() -> None:
    few = Advice(text="Look at the labels of 1 image.", images=["projects/shop/datasets/test/images/7"], image_count=1)
    many = Advice(text="Look at many.", images=[f"images/{number}" for number in range(9)], image_count=9)
    words = printed(*evaluation_tables("v1", told(advice=[few, many])))
    assert "projects/shop/datasets/test/images/7" in words
    assert "images/3" not in words


def test_data_with_findings_are_not_called_sound() -> None:
    result = ValidationResult(trainable=True)
    assert "The data are sound." in printed(*validation_report(result, {}))
    result.code_counts.add(code="WARNING_DUPLICATE_ACROSS_SPLITS", severity=JobFinding.SEVERITY_WARNING, count=1)
    told_of_leakage = printed(*validation_report(result, {}))
    assert "sound" not in told_of_leakage
    assert "look first at what was found" in told_of_leakage
