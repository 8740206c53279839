"""Agreement beyond chance, against scikit-learn and the figures that were published with the method."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from sightsmith_labeling.annotations import Box
from sightsmith_labeling.review.agreement import agreement, cohen_kappa, fleiss_kappa
from sightsmith_labeling.review.item import Answer, Verdict

categories = st.sampled_from("abc")


def labelled(*labels: str) -> Answer:
    return Answer(Verdict.LABELLED, tuple((label, None) for label in labels))


@given(st.lists(st.tuples(categories, categories), min_size=2, max_size=30))
def test_cohen_kappa_is_that_of_scikit_learn(ratings: list[tuple[str, str]]) -> None:
    found = cohen_kappa(ratings)
    if len({category for pair in ratings for category in pair}) == 1:
        assert found is None
        return
    expected = cohen_kappa_score(*zip(*ratings, strict=True))
    assert not math.isnan(expected)
    assert found == pytest.approx(expected)


def test_fleiss_kappa_of_the_textbook() -> None:
    # Ten subjects, fourteen raters, five categories: the worked example of https://en.wikipedia.org/wiki/Fleiss'_kappa.
    table = [
        (0, 0, 0, 0, 14),
        (0, 2, 6, 4, 2),
        (0, 0, 3, 5, 6),
        (0, 3, 9, 2, 0),
        (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0),
        (3, 2, 6, 3, 0),
        (2, 5, 3, 2, 2),
        (6, 5, 2, 1, 0),
        (0, 2, 2, 3, 7),
    ]
    ratings = [[category for category, count in enumerate(row) for _ in range(count)] for row in table]
    assert fleiss_kappa(ratings) == pytest.approx(0.210, abs=5e-4)


@given(st.lists(st.tuples(categories, categories), min_size=1, max_size=30))
def test_fleiss_kappa_does_not_care_who_said_what(ratings: list[tuple[str, str]]) -> None:
    swapped = fleiss_kappa([pair[::-1] for pair in ratings])
    assert fleiss_kappa(ratings) == (None if swapped is None else pytest.approx(swapped))


def test_nothing_can_be_said_without_items() -> None:
    found = agreement([])
    assert (found.item_count, found.percent_agreement, found.fleiss_kappa, found.pairs) == (0, None, None, [])


def test_pairs_are_compared_on_what_both_have_reviewed() -> None:
    none = Answer(Verdict.NONE)
    found = agreement(
        [
            {"ann": labelled("a"), "bob": labelled("a"), "eve": none},
            {"ann": labelled("b"), "bob": labelled("a")},
            {"bob": labelled("a", "b"), "ann": labelled("b", "a")},
        ]
    )
    assert found.item_count == 3
    assert found.percent_agreement == pytest.approx((1 / 3 + 0 + 1) / 3)
    pairs = {(pair.reviewer, pair.other_reviewer): pair for pair in found.pairs}
    assert [*pairs] == [("ann", "bob"), ("ann", "eve"), ("bob", "eve")]
    assert pairs["ann", "bob"].item_count == 3
    assert pairs["ann", "bob"].percent_agreement == pytest.approx(2 / 3)
    assert pairs["ann", "eve"].percent_agreement == 0


def test_boxes_count_for_the_share_and_labels_for_kappa() -> None:
    here, there = Box(0, 0, 10, 10), Box(50, 50, 10, 10)
    said = [Answer(Verdict.LABELLED, (("a", box),)) for box in (here, there)]
    found = agreement([{"ann": said[0], "bob": said[1]}, {"ann": labelled("b"), "bob": labelled("b")}])
    assert found.percent_agreement == 0.5
    assert found.fleiss_kappa == 1
    assert found.pairs[0].cohen_kappa == 1
