"""When reviewers agree: what becomes of an item by what they have said."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sightsmith_labeling.overlaps import unmatched
from sightsmith_labeling.review.item import Answer, Review, ReviewState, Verdict

_BEGINNING = datetime.min.replace(tzinfo=UTC)


def say_the_same(one: Answer, other: Answer) -> bool:
    """Whether two answers mean the same: the same labels of the whole image, and boxes that pair off one to one."""
    return one.verdict is other.verdict and unmatched(one.labels, other.labels) == ([], [])


def outcome(reviews: Sequence[Review], required: int) -> tuple[ReviewState, Review | None]:
    """What becomes of an item.

    It is settled when as many people as are required say the same. It is disputed when so many have spoken and do not.

    Args:
        reviews: everything that was said of it, and who is to say something.
        required: how many people must agree, at least 1.

    Returns:
        Where the item stands, and the review that is taken if it is settled: of those that say the same, the one with
        which most agree, and the earliest of equals.
    """
    spoken = [review for review in reviews if review.answer is not None and review.answer.counts]
    spoken.sort(key=lambda review: review.submit_time or _BEGINNING)
    agreeing = {review.reviewer: sum(_agree(review, other) for other in spoken) for review in spoken}
    taken = max(spoken, key=lambda review: agreeing[review.reviewer], default=None)
    if taken is not None and taken.answer is not None and agreeing[taken.reviewer] >= required:
        return ReviewState.ACCEPTED if taken.answer.verdict is Verdict.LABELLED else ReviewState.REJECTED, taken
    if len(spoken) >= required:
        return ReviewState.DISPUTED, None
    return ReviewState.IN_REVIEW if any(review.takes_a_place for review in reviews) else ReviewState.PENDING, None


def _agree(one: Review, other: Review) -> bool:
    return one.answer is not None and other.answer is not None and say_the_same(one.answer, other.answer)
