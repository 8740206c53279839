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


OPEN_STATES = tuple(state.value for state in ReviewState if not state.is_settled)
"""In which an item waits for people, as they are stored."""


class Reason(StrEnum):
    """Why a prediction is to be looked at."""

    RANDOM = "random"
    LOW_CONFIDENCE = "low_confidence"
    NEAR_THRESHOLD = "near_threshold"
    DISAGREEMENT = "disagreement"
    DRIFT = "drift"
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
    """What a model saw: a label, how sure it was (0 to 1), and where; None for the whole image.

    Attributes:
        answered: whether it answered with it, by its own thresholds.
    """

    label: str
    confidence: float
    box: Box | None = None
    answered: bool = False


@dataclass(frozen=True)
class Sample:
    """How a prediction came to be sampled.

    Attributes:
        image_key: of its image in the object store, which is nobody else's if it expires.
        expire_time: when it is to be deleted with its image; None for when nobody settles it, without its image.
        weight: for how many predictions it stands; 0 if that is not known.
    """

    image_key: str
    expire_time: datetime | None
    weight: float


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
        sha256: of the image's bytes.
        image_key: of the image in the object store.
        reviews: in the order of assignment.
        image: name of the image that it became or was already; None before it is accepted.
        decider: who settled it; empty before.
        expire_time: when it is deleted, settled or not; None for when nobody settles it.
        corrected: whether people saw other labels than the model answered with; None if that cannot be told.
    """

    name: ReviewItemName
    sha256: str
    image_key: str
    prediction: Prediction
    state: ReviewState
    reviews: Sequence[Review]
    image: str | None
    decider: str
    decide_time: datetime | None
    create_time: datetime
    expire_time: datetime | None = None
    corrected: bool | None = None


def to_item(row: ReviewItemRow, reviews: Iterable[ReviewRow]) -> ReviewItem:
    """The item of a row and its reviews."""
    return ReviewItem(
        name=ReviewItemName(row.project, str(row.key)),
        sha256=row.sha256,
        image_key=row.image_key,
        prediction=Prediction(
            prediction_id=row.prediction_id,
            deployment=row.deployment,
            model=row.model,
            predictions=[
                Seen(seen["label"], seen["confidence"], _box_of(seen), seen.get("answered", False))
                for seen in row.predictions
            ],
            reason=Reason(row.reason),
        ),
        state=ReviewState(row.state),
        reviews=[to_review(review) for review in sorted(reviews, key=lambda review: review.assign_time)],
        image=row.image,
        decider=row.decider,
        decide_time=row.decide_time,
        create_time=row.create_time,
        expire_time=row.expire_time,
        corrected=is_corrected(row),
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


def answered_labels(predictions: Iterable[dict[str, Any]]) -> frozenset[str]:
    """The labels that a model answered with, by the stored form of what it saw."""
    return frozenset(seen["label"] for seen in predictions if seen.get("answered"))


def is_corrected(row: ReviewItemRow) -> bool | None:
    """Whether people saw other labels than a model answered with; None if that cannot be told."""
    if row.true_labels is None or row.expire_time is None:
        return None
    return answered_labels(row.predictions) != frozenset(row.true_labels)
