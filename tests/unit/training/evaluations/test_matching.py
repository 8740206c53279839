"""What is labelled on images that a model did not learn from may be more than it knows."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sightsmith_training.engine.evaluation_result import DetectedBox, ImagePrediction
from sightsmith_training.engine.specification import SpecBox
from sightsmith_training.evaluations.judged_images import judge
from sightsmith_training.evaluations.matching import Rules, match

KNOWN = ("cat", "dog")
LABELS = st.sampled_from([*KNOWN, "elk", "yak"])
SCORES = st.sampled_from([0.1, 0.4, 0.6, 0.9])


def boxes_of(label: str, place: int) -> SpecBox:
    return SpecBox(label=label, left=10 * place, top=0, width=8, height=8)


@st.composite
def classified(draw: st.DrawFn) -> list[ImagePrediction]:
    return [
        ImagePrediction(
            image=f"i-{number}",
            source="",
            true_labels=sorted(draw(st.sets(LABELS))),
            predicted_labels=[],
            confidence=0,
            scores=[draw(SCORES), draw(SCORES)],
        )
        for number in range(draw(st.integers(1, 6)))
    ]


@st.composite
def detected(draw: st.DrawFn) -> list[ImagePrediction]:
    return [
        ImagePrediction(
            image=f"i-{number}",
            source="",
            true_labels=[],
            predicted_labels=[],
            confidence=0,
            scores=[],
            width=100,
            height=10,
            true_boxes=[boxes_of(draw(LABELS), place) for place in draw(st.sets(st.integers(0, 4)))],
            detections=[
                DetectedBox(**boxes_of(draw(st.sampled_from(KNOWN)), place).model_dump(), confidence=draw(SCORES))
                for place in draw(st.sets(st.integers(0, 4)))
            ],
        )
        for number in range(draw(st.integers(1, 4)))
    ]


@settings(deadline=None, max_examples=30)
@given(classified())
def test_a_label_that_the_model_does_not_know_counts_as_nothing_there(answers: list[ImagePrediction]) -> None:
    rules = Rules.of("multi_label_classification", KNOWN, (0.5, 0.5))
    bare = [
        answer.model_copy(update={"true_labels": [label for label in answer.true_labels if label in KNOWN]})
        for answer in answers
    ]
    assert [image.findings for image in judge(rules, answers)] == [image.findings for image in judge(rules, bare)]
    assert np.array_equal(match(rules, answers).truth, match(rules, bare).truth)


@settings(deadline=None, max_examples=30)
@given(detected())
def test_a_box_that_the_model_does_not_know_counts_as_background(answers: list[ImagePrediction]) -> None:
    rules = Rules.of("detection", KNOWN, (0.5, 0.5))
    bare = [
        answer.model_copy(update={"true_boxes": [box for box in answer.true_boxes if box.label in KNOWN]})
        for answer in answers
    ]
    assert [image.findings for image in judge(rules, answers)] == [image.findings for image in judge(rules, bare)]
    counts = match(rules, answers).counts.total(axis=0)
    there = [[box.label for answer in answers for box in answer.true_boxes].count(label) for label in KNOWN]
    assert (counts.true_positives + counts.false_negatives).tolist() == there
