"""What a model card says."""

import pytest

from sightsmith.api.labeling.v1.snapshot_pb2 import Snapshot
from sightsmith.api.training.v1.evaluation_pb2 import Evaluation, Interval, LabelMetrics
from sightsmith.api.training.v1.model_pb2 import (
    Artifact,
    Candidate,
    EvaluationSummary,
    LabelThreshold,
    Model,
    Recommendation,
    Variant,
)
from sightsmith_training.model_card_page import model_card_page

SUMMARY = EvaluationSummary(accuracy=0.9, macro_precision=0.8, macro_recall=0.7, macro_f1=0.75)


def page(model: Model | None = None, evaluation: Evaluation | None = None, snapshot: Snapshot | None = None) -> str:
    model = model or Model(name="projects/shop/models/v1", task=Model.TASK_CLASSIFICATION, labels=["a", "b"])
    return model_card_page(model, evaluation or Evaluation(), snapshot, {"lite0": "Apache-2.0"})


def test_the_accuracy_has_the_interval_of_the_evaluation() -> None:
    summary = EvaluationSummary(accuracy=18 / 20)
    told = Evaluation(image_count=20, summary=summary, accuracy_interval=Interval(lower=0.699, upper=0.972))
    assert "It was right on 90.0% of 20 images. On more images of the same kind, expect 69.9% to 97.2%" in page(
        evaluation=told
    )
    assert "It was right on 90.0% of 1 image." in page(evaluation=Evaluation(image_count=1, summary=summary))


def test_labels_cannot_break_the_page() -> None:
    labels = ["a|b", "<script>", "[x](y)", "two\nlines", "`tick`", "#1 *best*", "back\\slash"]
    metrics = [LabelMetrics(label=label, image_count=3) for label in labels]
    found = page(Model(labels=labels, tags={"k|": "v|"}), Evaluation(label_metrics=metrics, summary=SUMMARY))
    rows = [line for line in found.splitlines() if line.endswith("| 3 |")]
    assert len(rows) == len(labels)
    assert [row.replace("\\|", "").count("|") for row in rows] == [6] * len(labels)
    assert "two lines" in found
    assert r"\[x\](y)" in found
    assert r"\<script\>" in found
    assert r"| tag k\| | v\| |" in found


def test_the_candidates_stand_with_their_scores_and_the_licences_of_the_chosen_weights() -> None:
    candidates = [
        Candidate(display_name="two", backbones=["lite0", "own"], score_mean=0.8125, score_deviation=0.0125),
        Candidate(display_name="one", backbones=["lite9"]),
    ]
    found = page(Model(candidates=candidates, seed=5, library_versions={"b": "2", "a": "1"}))
    assert "| two | lite0, own | 0.812 | 0.013 |" in found
    assert "| lite0 | Apache-2.0 |\n| own | not known |" in found
    assert "| lite9 |" not in found.replace("| one | lite9 |", "")
    assert "| a | 1 |\n| b | 2 |" in found


@pytest.mark.parametrize(
    ("basis", "words"),
    [
        (Evaluation.BASIS_TEST, "Judged on 7 test images"),
        (Evaluation.BASIS_CROSS_VALIDATION, "because there were no test images"),
    ],
)
def test_the_basis_of_the_figures_is_told(basis: Evaluation.Basis.ValueType, words: str) -> None:
    found = page(evaluation=Evaluation(basis=basis, image_count=7, summary=SUMMARY))
    assert words in found
    assert "| all labels (macro) | 0.800 | 0.700 | 0.750 | 7 |" in found


def test_labels_with_few_judged_images_are_named() -> None:
    metrics = [LabelMetrics(label=label, image_count=count) for label, count in (("few", 9), ("many", 10))]
    found = page(evaluation=Evaluation(label_metrics=metrics))
    assert "say little: few (9)." in found
    assert "| few | 0.000 | 0.000 | 0.000 | 9 |" in found


def test_of_labels_without_judged_images_no_figures_are_told() -> None:
    found = page(evaluation=Evaluation(label_metrics=[LabelMetrics(label="unseen")]))
    assert "| unseen | – | – | – | 0 |" in found


def test_the_contract_of_the_files_is_that_of_the_task() -> None:
    classifier = page(Model(task=Model.TASK_MULTI_LABEL_CLASSIFICATION, labels=["a"] * 3, image_side=240))
    assert "`INPUT__0` `uint8` [n, 240, 240, 3]" in classifier
    assert "`OUTPUT__0` `float32` [n, 3]" in classifier
    detector = page(Model(task=Model.TASK_DETECTION, labels=["a"], image_side=416))
    assert "`OUTPUT__2` `int32` [n, k]" in detector
    assert "It was right on" not in detector


def test_variants_and_recommendations_are_told_where_there_are_any() -> None:
    model = Model(
        variants=[Variant(format=Artifact.FORMAT_ONNX_INT8, kept=True, reason="its figure | is fine")],
        recommendations=[
            Recommendation(
                runtime=Recommendation.RUNTIME_ONNXRUNTIME_CPU, format=Artifact.FORMAT_ONNX_INT8, reason="2.1 ms"
            )
        ],
    )
    found = page(model)
    assert r"| onnx_int8 | yes | its figure \| is fine |" in found
    assert "| onnxruntime_cpu | onnx_int8 | 2.1 ms |" in found
    assert "Variants of" not in page()


def test_the_page_ends_with_one_line_end_and_has_each_section_once() -> None:
    found = page()
    assert found.endswith("|\n")
    sections = [line for line in found.splitlines() if line.startswith("## ")]
    assert len(sections) == len(set(sections)) == 5


def test_thresholds_are_told_where_there_are_any() -> None:
    assert "A label holds" not in page()
    none = Model(
        task=Model.TASK_CLASSIFICATION,
        labels=["a", "b"],
        thresholds=[LabelThreshold(label=label, threshold=0.0) for label in "ab"],
    )
    assert "The surest label is the answer, however sure the model is." in page(none)
    assert "0.000 |" not in page(none).partition("| all labels")[2].partition("\n")[2]
    found = page(Model(labels=["a"], thresholds=[LabelThreshold(label="a|", threshold=0.625)]))
    assert "A label holds from these scores on:\n\n| label | score |\n| --- | --- |\n| a\\| | 0.625 |" in found


@pytest.mark.parametrize(("threshold", "is_always_answered"), [(0.0, True), (0.5, True), (0.51, False)])
def test_what_becomes_of_anything_else_follows_the_thresholds(threshold: float, is_always_answered: bool) -> None:
    """The surest of two labels has half of the probability at least."""
    thresholds = [LabelThreshold(label="a", threshold=threshold), LabelThreshold(label="b", threshold=0.0)]
    found = page(Model(task=Model.TASK_CLASSIFICATION, labels=["a", "b"], thresholds=thresholds))
    assert ("is given one of them all the same" in found) == is_always_answered
    assert ("stays below its score is given none" in found) != is_always_answered
    assert ("; every other label from any score on:" in found) == (threshold > 0)
    assert ("| b | 0.000 |" in found) is False


def test_labels_that_were_left_out_are_named() -> None:
    found = page(Model(labels=["a"], left_out_labels=["rare|", "odd"]))
    assert r"were left out, because they have too few images to learn from: rare\|, odd." in found
    assert "left out" not in page()
