"""What became of the labels and boxes of an image, whatever a model says of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightsmith_training.engine.evaluation_result import DetectedBox, ImagePrediction
from sightsmith_training.engine.judging.matches import Outcome
from sightsmith_training.engine.specification import SpecBox
from sightsmith_training.evaluations.judged_images import judge
from sightsmith_training.evaluations.matching import Rules, match

LABELS = ("bee", "cat", "dog")
SCORES = st.integers(0, 20).map(lambda twentieths: twentieths / 20)
BOXES = st.builds(
    SpecBox,
    label=st.sampled_from(LABELS),
    left=st.integers(0, 3).map(lambda tens: tens * 10.0),
    top=st.integers(0, 3).map(lambda tens: tens * 10.0),
    width=st.sampled_from([10.0, 15.0]),
    height=st.just(10.0),
)


@st.composite
def classified(draw: st.DrawFn) -> list[ImagePrediction]:
    return [
        image(index, true_labels=sorted(truth), scores=scores)
        for index, (truth, scores) in enumerate(
            draw(
                st.lists(
                    st.tuples(st.sets(st.sampled_from(LABELS)), st.tuples(SCORES, SCORES, SCORES).map(list)),
                    min_size=1,
                    max_size=8,
                )
            )
        )
    ]


@st.composite
def detected(draw: st.DrawFn) -> list[ImagePrediction]:
    scenes = draw(
        st.lists(
            st.tuples(st.lists(BOXES, max_size=4), st.lists(st.tuples(BOXES, SCORES), max_size=5)),
            min_size=1,
            max_size=4,
        )
    )
    return [
        image(
            index,
            true_labels=sorted({box.label for box in truth}),
            true_boxes=truth,
            detections=[DetectedBox(**box.model_dump(), confidence=confidence) for box, confidence in found],
        )
        for index, (truth, found) in enumerate(scenes)
    ]


def image(index: int, **said: object) -> ImagePrediction:
    nothing = {"true_labels": [], "scores": [], "predicted_labels": [], "confidence": 0.0}
    return ImagePrediction(**{"image": f"i-{index}", "source": "", **nothing, **said})  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(classified() | detected(), st.tuples(SCORES, SCORES, SCORES))
def test_findings_are_the_matches(answers: list[ImagePrediction], thresholds: tuple[float, float, float]) -> None:
    task = "multi_label_classification" if answers[0].scores else "detection"
    rules = Rules.of(task, LABELS, thresholds)
    judged, counts = judge(rules, answers), match(rules, answers).counts
    for row, one in enumerate(judged):
        for column, label in enumerate(LABELS):
            outcomes = [finding.outcome for finding in one.findings if finding.label == label]
            assert outcomes.count(Outcome.TRUE_POSITIVE) == counts.true_positives[row, column]
            assert outcomes.count(Outcome.FALSE_POSITIVE) == counts.false_positives[row, column]
            assert outcomes.count(Outcome.FALSE_NEGATIVE) == counts.false_negatives[row, column]
        wrong = counts.false_positives[row].sum() + counts.false_negatives[row].sum()
        assert one.is_right == (wrong == 0)
        assert (one.rank <= 0) == (wrong > 0)
        confidences = [finding.about.confidence for finding in one.findings if finding.is_predicted]
        assert confidences == sorted(confidences, reverse=True)


@settings(max_examples=60, deadline=None)
@given(classified() | detected(), st.tuples(SCORES, SCORES, SCORES))
def test_an_image_is_judged_by_itself(answers: list[ImagePrediction], thresholds: tuple[float, float, float]) -> None:
    """A page of a list is judged without the rest of the images."""
    rules = Rules.of("multi_label_classification" if answers[0].scores else "detection", LABELS, thresholds)
    assert judge(rules, answers) == [one for answer in answers for one in judge(rules, [answer])]


def test_without_thresholds_the_best_label_is_the_answer() -> None:
    (one,) = judge(Rules.of("classification", LABELS, []), [image(0, true_labels=["cat"], scores=[0.2, 0.1, 0.3])])
    assert (one.predicted_labels, one.confidence, one.rank) == (["dog"], 0.3, -0.3)
    assert one.labels_of(Outcome.FALSE_NEGATIVE) == ["cat"]


def test_a_mistake_that_is_only_a_miss_comes_after_all_others() -> None:
    rules = Rules.of("classification", LABELS, [0.5, 0.5, 0.5])
    missed, right = judge(
        rules,
        [image(0, true_labels=["cat"], scores=[0.2, 0.4, 0.3]), image(1, true_labels=["cat"], scores=[0.0, 1.0, 0.0])],
    )
    assert (missed.predicted_labels, missed.confidence, missed.rank) == ([], 0.4, 0.0)
    assert right.rank == 1.0


def test_a_label_that_a_model_does_not_know_is_never_predicted() -> None:
    rules = Rules.of("detection", ["cat"], []).among(LABELS)
    assert rules.thresholds[1] == 0.5
    assert np.all(rules.thresholds[[0, 2]] > 1)


def test_nothing_to_judge_gives_nothing() -> None:
    assert judge(Rules.of("detection", LABELS, []), []) == []


@pytest.mark.parametrize("confidence", [0.0, 0.4])
def test_a_detector_that_finds_nothing_is_sure_of_nothing(confidence: float) -> None:
    weak = DetectedBox(label="cat", left=0, top=0, width=5, height=5, confidence=confidence)
    (one,) = judge(Rules.of("detection", LABELS, []), [image(0, detections=[weak])])
    assert (one.is_right, one.confidence, one.rank, list(one.findings)) == (True, 0.0, 2.0, [])
