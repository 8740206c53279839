"""A review item, and what people say of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sightsmith.database import utc_now
from sightsmith.names import ReviewItemName
from sightsmith_labeling.annotations import Box
from sightsmith_labeling.overlaps import Content
from sightsmith_labeling.review.tables import ReviewItemRow, ReviewRow


class ReviewState(StrEnum):
    """Where an item stands."""

    PENDING = "pending"
    IN_REVIEW = "in_review"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DISPUTED = "disputed"

    @property
    def is_settled(self) -> bool:
        """Whether nothing can follow."""
        return self in (ReviewState.ACCEPTED, ReviewState.REJECTED)


class Reason(StrEnum):
    """Why a prediction is to be looked at."""

    RANDOM = "random"
    LOW_CONFIDENCE = "low_confidence"
    REQUESTED = "requested"


class Verdict(StrEnum):
    """What kind of answer a person gives."""

    LABELLED = "labelled"
    NONE = "none"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Answer:
    """What is in an image, in a person's view: labels with boxes or, for the whole image, without."""

    verdict: Verdict
    labels: tuple[Content, ...] = ()
    comment: str = ""

    @property
    def counts(self) -> bool:
        """Whether it says anything about the image."""
        return self.verdict is not Verdict.SKIPPED


@dataclass(frozen=True)
class Review:
    """What a person says of an item, or that the person is to say something.

    Attributes:
        answer: None until the person has said something.
        expire_time: until when the item is kept for the person; None for no limit.
    """

    reviewer: str
    answer: Answer | None
    assign_time: datetime
    submit_time: datetime | None
    expire_time: datetime | None

    @property
    def takes_a_place(self) -> bool:
        """Whether the item needs one reviewer less because of it."""
        if self.answer is not None:
            return self.answer.counts
        return self.expire_time is None or self.expire_time > utc_now()


@dataclass(frozen=True)
class Seen:
    """What a model saw: a label, how sure it was (0 to 1), and where; None for the whole image."""

    label: str
    confidence: float
    box: Box | None = None


@dataclass(frozen=True)
class Prediction:
    """What a model said of an image, and why people are to look at it.

    Attributes:
        prediction_id: makes one item of it however often it is told; empty to have one made up.
        deployment: who answered; empty if the model runs elsewhere.
        predictions: the most likely first.
    """

    prediction_id: str
    deployment: str
    model: str
    predictions: Sequence[Seen]
    reason: Reason


@dataclass(frozen=True)
class ReviewItem:
    """A prediction that people look at.

    Attributes:
        sha256: of the image's bytes, which lie in the object store.
        reviews: in the order of assignment.
        image: name of the image that it became or was already; None before it is accepted.
        decider: who settled it; empty before.
    """

    name: ReviewItemName
    sha256: str
    prediction: Prediction
    state: ReviewState
    reviews: Sequence[Review]
    image: str | None
    decider: str
    decide_time: datetime | None
    create_time: datetime


def to_item(row: ReviewItemRow, reviews: Iterable[ReviewRow]) -> ReviewItem:
    """The item of a row and its reviews."""
    return ReviewItem(
        name=ReviewItemName(row.project, str(row.key)),
        sha256=row.sha256,
        prediction=Prediction(
            prediction_id=row.prediction_id,
            deployment=row.deployment,
            model=row.model,
            predictions=[Seen(seen["label"], seen["confidence"], _box_of(seen)) for seen in row.predictions],
            reason=Reason(row.reason),
        ),
        state=ReviewState(row.state),
        reviews=[to_review(review) for review in sorted(reviews, key=lambda review: review.assign_time)],
        image=row.image,
        decider=row.decider,
        decide_time=row.decide_time,
        create_time=row.create_time,
    )


def to_review(row: ReviewRow) -> Review:
    """The review of a row."""
    answer = None
    if row.verdict is not None:
        labels = tuple((content["label"], _box_of(content)) for content in row.labels)
        answer = Answer(Verdict(row.verdict), labels, row.comment)
    return Review(row.reviewer, answer, row.assign_time, row.submit_time, row.expire_time)


def stored_label(label: str, box: Box | None) -> dict[str, Any]:
    """A label as it lies in a row."""
    if box is None:
        return {"label": label}
    return {"label": label, "box": [box.left, box.top, box.width, box.height]}


def _box_of(content: dict[str, Any]) -> Box | None:
    return Box(*content["box"]) if "box" in content else None
