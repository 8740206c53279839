"""Whatever the scores and thresholds: everything that is told of a model counts the same answers."""

from typing import get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightsmith.api.training.v1.model_pb2 import Model
from sightsmith.names import EvaluationName
from sightsmith_training.engine.evaluation_result import DetectedBox, ImagePrediction
from sightsmith_training.engine.judging.matches import Outcome
from sightsmith_training.engine.reports.evaluation_lines import EvaluationLines
from sightsmith_training.engine.reports.heatmap import heatmap
from sightsmith_training.engine.specification import SpecBox, Task
from sightsmith_training.evaluation_convert import evaluation_message
from sightsmith_training.evaluations.answer_table import AnswerTable, StoredAnswer
from sightsmith_training.evaluations.comparing import compare
from sightsmith_training.evaluations.figures import evaluate_anew
from sightsmith_training.evaluations.judged_images import Ranks, judge
from sightsmith_training.evaluations.judged_model import JudgedModel
from sightsmith_training.evaluations.matching import Rules, match
from sightsmith_training.evaluations.stored_evaluation import StoredEvaluation
from sightsmith_training.evaluations.verdicts import Verdicts
from sightsmith_training.model_card_page import model_card_page
from tests.unit.training_engine.reports.cases import NOW, data_for
from tests.unit.training_engine.reports.test_aws_files import told_outcomes

LABELS = ("bee", "cat", "dog")
SCORES = st.integers(0, 10).map(lambda tenths: tenths / 10)
THRESHOLDS = st.lists(SCORES, min_size=3, max_size=3)
BOXES = st.builds(
    SpecBox,
    label=st.sampled_from(LABELS),
    left=st.sampled_from([0.0, 5.0, 40.0]),
    top=st.just(0.0),
    width=st.sampled_from([30.0, 35.0]),
    height=st.just(30.0),
)
SURE_BOXES = st.builds(lambda box, confidence: DetectedBox(**box.model_dump(), confidence=confidence), BOXES, SCORES)


@st.composite
def answers(draw: st.DrawFn, task: Task) -> list[ImagePrediction]:
    truth = st.sets(st.sampled_from(LABELS), min_size=1, max_size=1) if task == "classification" else LABEL_SETS
    return [
        ImagePrediction(
            image=f"i-{number}",
            source=f"{number}.jpg",
            true_labels=sorted(draw(truth)) if task != "detection" else [],
            predicted_labels=[],
            confidence=0,
            scores=draw(THRESHOLDS) if task != "detection" else [],
            width=100,
            height=40,
            true_boxes=draw(st.lists(BOXES, max_size=3)) if task == "detection" else [],
            detections=draw(st.lists(SURE_BOXES, max_size=4)) if task == "detection" else [],
        )
        for number in range(draw(st.integers(1, 5)))
    ]


LABEL_SETS = st.sets(st.sampled_from(LABELS))
MODELS = st.sampled_from(get_args(Task)).flatmap(lambda task: st.tuples(st.just(task), answers(task), THRESHOLDS))


@settings(deadline=None, max_examples=12)  # Each draws the images thousands of times, for intervals.
@given(MODELS)
def test_everything_follows_the_same_thresholds(model: tuple[Task, list[ImagePrediction], list[float]]) -> None:
    task, said, thresholds = model
    rules = Rules.of(task, LABELS, thresholds)
    matches, judged = match(rules, said), judge(rules, said)
    figures = evaluate_anew(matches, "unseen")
    right = [one.is_right for one in judged]
    assert np.isclose(figures.accuracy, np.mean(right))

    of_table = JudgedModel("v1", rules, AnswerTable.of(said))
    comparison = compare(of_table, of_table, most_shown=10)
    assert (comparison.both_right, comparison.relabelled, comparison.images) == (sum(right), 0, len(said))
    told = {figure.figure: (figure.first, figure.second) for figure in comparison.figures}
    if task != "detection":
        assert np.allclose(told["accuracy"], figures.accuracy)
        assert np.allclose(told["macro-F1"], figures.macro_f1)

    outcomes = [finding for one in judged for finding in one.findings]
    lines = [one for line in EvaluationLines(data_for(matches), matches, NOW) for one in told_outcomes(line)]
    matrix = np.array(figures.confusion_matrix)
    for place, metrics in enumerate(figures.per_label):
        own = [finding.outcome for finding in outcomes if finding.label == metrics.label]
        counted = [
            own.count(Outcome.TRUE_POSITIVE),
            own.count(Outcome.FALSE_POSITIVE),
            own.count(Outcome.FALSE_NEGATIVE),
        ]
        assert counted == [metrics.true_positives, metrics.false_positives, metrics.false_negatives]
        details = [detail for label, _, detail in lines if label == metrics.label]
        flags = ("is-true-positive", "is-false-positive", "is-false-negative")
        assert counted == [sum(detail[flag] for detail in details) for flag in flags]
        assert matrix[place, place] == metrics.true_positives
        assert metrics.true_negatives in (None, len(said) - sum(counted))
    cells = np.array([[cell.count for cell in row] for row in heatmap(matches).rows])
    assert np.array_equal(cells[:-1], matrix[:-1])
    assert np.array_equal(cells[-1, :-1], matrix[-1, :-1]), "whatever is rightly nothing is no mistake"


@settings(deadline=None, max_examples=5)
@given(answers("classification"), THRESHOLDS)
def test_the_card_tells_the_accuracy_of_the_evaluation(said: list[ImagePrediction], thresholds: list[float]) -> None:
    figures = evaluate_anew(match(Rules.of("classification", LABELS, thresholds), said), "unseen")
    stored = StoredEvaluation(EvaluationName("shop", "v1"), LABELS, "s", figures, NOW)
    message = evaluation_message(stored)
    card = model_card_page(Model(task=Model.TASK_CLASSIFICATION, labels=LABELS), message, None, {})
    assert f"It was right on {figures.accuracy:.1%} of " in card
    assert message.summary.accuracy == figures.accuracy


@settings(deadline=None, max_examples=25)
@given(MODELS, st.randoms(use_true_random=False))
def test_columns_are_the_answers(model: tuple[Task, list[ImagePrediction], list[float]], random) -> None:
    """However they are stored, taken apart, joined and put into another order."""
    task, said, thresholds = model
    rules = Rules.of(task, LABELS, thresholds)
    text = msgspec.json.encode([one.model_dump() for one in said])
    stored = msgspec.json.decode(text, type=list[StoredAnswer])
    half = len(said) // 2
    table = AnswerTable.joined(
        [AnswerTable.of(stored[:half]), AnswerTable.of(stored[half:])] if half else [AnswerTable.of(stored)]
    )
    order = random.sample(range(len(said)), len(said))
    moved = [said[place] for place in order]
    matches = JudgedModel("v1", rules, table.at(order)).matches()
    judged = judge(rules, moved)
    ranks = Ranks.of(matches)
    assert ranks.is_right.tolist() == [one.is_right for one in judged]
    assert np.allclose(ranks.rank, [one.rank for one in judged])
    assert np.array_equal(matches.counts.false_positives, match(rules, moved).counts.false_positives)
    for one, verdict in zip(judged, Verdicts.of(matches).rows(), strict=True):
        assert (verdict["rank"], verdict["confidence"]) == pytest.approx((one.rank, one.confidence))
        assert verdict["predicted_labels"] == one.predicted_labels
        for outcome in (Outcome.TRUE_POSITIVE, Outcome.FALSE_POSITIVE, Outcome.FALSE_NEGATIVE):
            assert verdict[f"{outcome.name.lower()}s"] == one.labels_of(outcome)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(BOXES, max_size=3), min_size=1, max_size=4), st.data())
def test_relabelled_images_are_those_with_other_boxes(truths: list[list[SpecBox]], data: st.DataObject) -> None:
    """The order of the boxes of an image does not matter."""
    now = [data.draw(st.permutations(boxes) | st.lists(BOXES, max_size=3)) for boxes in truths]

    def table(boxes: list[list[SpecBox]]) -> AnswerTable:
        nothing = {"source": "", "true_labels": [], "predicted_labels": [], "confidence": 0, "scores": []}
        return AnswerTable.of([ImagePrediction(image=str(i), true_boxes=own, **nothing) for i, own in enumerate(boxes)])

    def known(boxes: list[SpecBox]) -> list[tuple[str, float, float]]:
        return sorted((box.label, box.left, box.width) for box in boxes)

    differing = sum(known(old) != known(new) for old, new in zip(truths, now, strict=True))
    assert table(truths).relabelled(table(now)) == differing
