"""What becomes of an item by what people say of it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightsmith_labeling.annotations import Box
from sightsmith_labeling.review.deciding import outcome, say_the_same
from sightsmith_labeling.review.item import Answer, Review, ReviewState, Verdict

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NONE, SKIPPED = Answer(Verdict.NONE), Answer(Verdict.SKIPPED)
answers = st.sampled_from(
    [NONE, SKIPPED, Answer(Verdict.LABELLED, (("a", None),)), Answer(Verdict.LABELLED, (("b", None),))]
)


def labelled(*labels: str) -> Answer:
    return Answer(Verdict.LABELLED, tuple((label, None) for label in labels))


def boxed(label: str, *box: float) -> Answer:
    return Answer(Verdict.LABELLED, ((label, Box(*box)),))


def reviews(*answers: Answer | None) -> list[Review]:
    """Reviews by `r0`, `r1`, … in this order; None for one that is still to come."""
    times = [NOON + timedelta(minutes=place) for place in range(len(answers))]
    return [
        Review(f"r{place}", answer, NOON, time if answer else None, None)
        for place, (answer, time) in enumerate(zip(answers, times, strict=True))
    ]


@pytest.mark.parametrize(
    ("said", "required", "state"),
    [
        ([], 1, ReviewState.PENDING),
        ([None], 1, ReviewState.IN_REVIEW),
        ([SKIPPED], 1, ReviewState.PENDING),
        ([labelled("a")], 1, ReviewState.ACCEPTED),
        ([NONE], 1, ReviewState.REJECTED),
        ([labelled("a")], 2, ReviewState.IN_REVIEW),
        ([labelled("a"), SKIPPED], 2, ReviewState.IN_REVIEW),
        ([labelled("a", "b"), labelled("b", "a")], 2, ReviewState.ACCEPTED),
        ([labelled("a"), labelled("b")], 2, ReviewState.DISPUTED),
        ([labelled("a"), labelled("a", "b")], 2, ReviewState.DISPUTED),
        ([labelled("a"), NONE], 2, ReviewState.DISPUTED),
        ([labelled("a"), NONE, NONE], 2, ReviewState.REJECTED),
        ([labelled("a"), labelled("b"), labelled("a")], 2, ReviewState.ACCEPTED),
        ([boxed("a", 0, 0, 10, 10), boxed("a", 0, 0, 10, 6)], 2, ReviewState.ACCEPTED),
        ([boxed("a", 0, 0, 10, 10), boxed("a", 0, 0, 10, 4)], 2, ReviewState.DISPUTED),
        ([boxed("a", 0, 0, 10, 10), boxed("b", 0, 0, 10, 10)], 2, ReviewState.DISPUTED),
        ([boxed("a", 0, 0, 10, 10), labelled("a")], 2, ReviewState.DISPUTED),
    ],
)
def test_where_an_item_stands(said: list[Answer | None], required: int, state: ReviewState) -> None:
    assert outcome(reviews(*said), required)[0] is state


def test_the_review_with_which_most_agree_is_taken() -> None:
    # The outer ones overlap the middle one by more than half, and each other by less.
    left, middle, right = boxed("a", 0, 0, 10, 10), boxed("a", 2.5, 0, 10, 10), boxed("a", 5, 0, 10, 10)
    assert not say_the_same(left, right)
    _, taken = outcome(reviews(left, right, middle), 3)
    assert taken is not None
    assert taken.reviewer == "r2"


def test_of_equals_the_earliest_is_taken() -> None:
    said = reviews(labelled("a"), labelled("a"))
    assert outcome(said[::-1], 2)[1] == said[0]


def test_a_claim_that_has_run_out_keeps_no_item_in_review() -> None:
    claim = Review("r0", None, NOON, None, NOON)
    assert outcome([claim], 1)[0] is ReviewState.PENDING


@given(st.lists(answers, max_size=6), st.integers(1, 4))
def test_an_item_is_settled_exactly_if_enough_people_agree(said: list[Answer], required: int) -> None:
    state, taken = outcome(reviews(*said), required)
    spoken = [answer for answer in said if answer.counts]
    most = max((spoken.count(answer) for answer in spoken), default=0)
    assert state.is_settled == (most >= required) == (taken is not None)
    assert (state is ReviewState.DISPUTED) == (most < required <= len(spoken))
