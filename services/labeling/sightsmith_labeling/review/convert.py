"""Between review items and their protobuf messages."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sightsmith.actor import MAX_ACTOR_LENGTH, current_actor
from sightsmith.api.labeling.v1 import review_item_pb2, review_service_pb2
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import DeploymentName, ProjectName, ReviewItemName
from sightsmith_labeling.convert import timestamp
from sightsmith_labeling.review.agreement import Agreement, PairAgreement
from sightsmith_labeling.review.item import (
    Answer,
    Prediction,
    Reason,
    Review,
    ReviewItem,
    ReviewState,
    Seen,
    Verdict,
)
from sightsmith_labeling.review.items import ReviewFilter
from sightsmith_labeling.review.precision import PrecisionEstimate
from sightsmith_labeling.suggestions.convert import box_from_proto, box_to_proto

_MOST_ITEMS = 1000
_MOST_PREDICTIONS = 1000
_MOST_CLAIMED = 100
_CLAIMED_BY_DEFAULT = 10
_MAX_NAME_LENGTH = 255
_Item = review_item_pb2.ReviewItem


def item_to_proto(item: ReviewItem) -> review_item_pb2.ReviewItem:
    """An item as a client sees it."""
    prediction = item.prediction
    message = _Item(
        name=str(item.name),
        image_sha256=item.sha256,
        prediction_id=prediction.prediction_id,
        deployment=prediction.deployment,
        model=prediction.model,
        predictions=[
            _Item.Prediction(
                label=seen.label, confidence=seen.confidence, box=box_to_proto(seen.box), answered=seen.answered
            )
            for seen in prediction.predictions
        ],
        reason=reason_to_proto(prediction.reason),
        state=_Item.State.Value(f"STATE_{item.state.name}"),
        reviews=map(_review_to_proto, item.reviews),
        image=item.image or "",
        decider=item.decider,
        create_time=timestamp(item.create_time),
        corrected=item.corrected,
    )
    if item.expire_time is not None:
        message.expire_time.FromDatetime(item.expire_time)
    if item.decide_time is not None:
        message.decide_time.FromDatetime(item.decide_time)
    return message


def prediction_from_proto(message: review_item_pb2.ReviewItem) -> Prediction:
    """Reads a prediction that a client brings.

    Raises:
        InvalidArgumentError: naming the field that is wrong.
    """
    field = "review_item"
    for name in ("prediction_id", "model"):
        _check_text(f"{field}.{name}", getattr(message, name), _MAX_NAME_LENGTH)
    if message.deployment:
        DeploymentName.parse(message.deployment, f"{field}.deployment")
    if len(message.predictions) > _MOST_PREDICTIONS:
        rule = f"can hold at most {_MOST_PREDICTIONS}, not {len(message.predictions)}"
        raise InvalidArgumentError.of_field(f"{field}.predictions", rule)
    seen = [
        Seen(found.label, found.confidence, box_from_proto(found.box) if found.HasField("box") else None)
        for found in message.predictions
    ]
    return Prediction(message.prediction_id, message.deployment, message.model, seen, Reason.REQUESTED)


def answer_from_proto(message: review_item_pb2.Answer) -> Answer:
    """Reads what a person says. The same label at the same place counts once.

    Raises:
        InvalidArgumentError: if its verdict is none that is known here; a newer client may know more.
    """
    labels = [(found.label, box_from_proto(found.box) if found.HasField("box") else None) for found in message.labels]
    for verdict in Verdict:
        if message.verdict == _verdict_to_proto(verdict):
            return Answer(verdict, tuple(dict.fromkeys(labels)), message.comment)
    raise InvalidArgumentError.of_field("answer.verdict", f"there is none of number {message.verdict}")


def filter_from_proto(message: review_service_pb2.ListReviewItemsRequest.Filter) -> ReviewFilter:
    """Reads which items are meant.

    Raises:
        InvalidArgumentError: if a state or a reason is none that is known here; a newer client may know more.
    """
    states = {_Item.State.Value(f"STATE_{state.name}"): state for state in ReviewState}
    for state in message.states:
        if state not in states:
            raise InvalidArgumentError.of_field("filter.states", f"there is none of number {state}")
    reason = _reason_from_proto(message.reason, "filter.reason") if message.reason else None
    return ReviewFilter(
        states=[states[state] for state in message.states],
        reviewer=message.reviewer,
        deployment=message.deployment,
        model=message.model,
        reason=reason,
    )


def reasons_from_proto(reasons: Iterable[review_item_pb2.ReviewItem.Reason.ValueType]) -> Sequence[Reason]:
    """Reads which reasons are meant, each once.

    Raises:
        InvalidArgumentError: if one is none that is known here; a newer client may know more.
    """
    found = [_reason_from_proto(reason, f"reasons[{index}]") for index, reason in enumerate(reasons)]
    return list(dict.fromkeys(found))


def _reason_from_proto(value: review_item_pb2.ReviewItem.Reason.ValueType, field: str) -> Reason:
    for reason in Reason:
        if value == reason_to_proto(reason):
            return reason
    raise InvalidArgumentError.of_field(field, f"there is none of number {value}")


def reason_to_proto(reason: Reason) -> review_item_pb2.ReviewItem.Reason.ValueType:
    """Why a prediction is looked at, as a client sees it."""
    return _Item.Reason.Value(f"REASON_{reason.name}")


def items_from_proto(names: Sequence[str], parent: str) -> Sequence[ReviewItemName]:
    """Reads the names of items of one project.

    Raises:
        InvalidArgumentError: if one of them is none, or of another project, or there are too many.
    """
    project = ProjectName.parse(parent, "parent")
    if len(names) > _MOST_ITEMS:
        raise InvalidArgumentError.of_field("names", f"can hold at most {_MOST_ITEMS}, not {len(names)}")
    items = [ReviewItemName.parse(name, f"names[{index}]") for index, name in enumerate(names)]
    for index, item in enumerate(items):
        if item.project != project.project:
            raise InvalidArgumentError.of_field(f"names[{index}]", f"must be of {project}, not {item}")
    return items


def reviewer_from_proto(reviewer: str) -> str:
    """Reads who reviews: the one who is named, or else the caller.

    Raises:
        InvalidArgumentError: if nobody is.
    """
    reviewer = reviewer or current_actor()
    if not reviewer:
        raise InvalidArgumentError.of_field("reviewer", "is required where the caller does not say who it is")
    _check_text("reviewer", reviewer, MAX_ACTOR_LENGTH)
    return reviewer


def claim_count_from_proto(count: int) -> int:
    """Reads how many items a person wants.

    Raises:
        InvalidArgumentError: if it is negative, or too many.
    """
    if not 0 <= count <= _MOST_CLAIMED:
        raise InvalidArgumentError.of_field("count", f"must be 1 to {_MOST_CLAIMED}, not {count}")
    return count or _CLAIMED_BY_DEFAULT


def created_after_from_proto(
    request: review_service_pb2.GetAgreementRequest | review_service_pb2.EstimatePrecisionRequest,
) -> datetime | None:
    """Reads from when on items count; None for all.

    Raises:
        InvalidArgumentError: if it is no moment.
    """
    if not request.HasField("created_after"):
        return None
    try:
        # Aware of its zone, as the database's times are.
        return datetime.fromisoformat(request.created_after.ToJsonString())
    except ValueError:
        raise InvalidArgumentError.of_field("created_after", "is no moment") from None


def agreement_to_proto(agreement: Agreement) -> review_service_pb2.Agreement:
    """How far reviewers agree, as a client sees it."""
    return review_service_pb2.Agreement(
        item_count=agreement.item_count,
        percent_agreement=agreement.percent_agreement,
        fleiss_kappa=agreement.fleiss_kappa,
        pairs=list(_pairs_to_proto(agreement.pairs)),
    )


def estimate_to_proto(estimate: PrecisionEstimate) -> review_service_pb2.PrecisionEstimate:
    """How often answers are right, as a client sees it."""
    message = review_service_pb2.PrecisionEstimate(
        strata=[
            review_service_pb2.PrecisionEstimate.Stratum(
                reason=reason_to_proto(stratum.reason),
                sampled_count=stratum.sampled,
                reviewed_count=stratum.reviewed,
                corrected_count=stratum.corrected,
                estimated_prediction_count=stratum.population,
            )
            for stratum in estimate.strata
        ],
        covered_share=estimate.covered,
    )
    if estimate.precision is not None:
        message.precision = estimate.precision.value
        message.lower_bound, message.upper_bound = estimate.precision.lower, estimate.precision.upper
        message.effective_count = estimate.precision.effective_count
    return message


def _pairs_to_proto(pairs: Iterable[PairAgreement]) -> Iterable[review_service_pb2.Agreement.Pair]:
    return (review_service_pb2.Agreement.Pair(**vars(pair)) for pair in pairs)


def _review_to_proto(review: Review) -> review_item_pb2.Review:
    message = review_item_pb2.Review(reviewer=review.reviewer)
    if review.answer is not None:
        message.answer.CopyFrom(_answer_to_proto(review.answer))
    if review.submit_time is not None:
        message.submit_time.FromDatetime(review.submit_time)
    if review.expire_time is not None:
        message.expire_time.FromDatetime(review.expire_time)
    return message


def _answer_to_proto(answer: Answer) -> review_item_pb2.Answer:
    return review_item_pb2.Answer(
        verdict=_verdict_to_proto(answer.verdict),
        labels=[review_item_pb2.Answer.Label(label=label, box=box_to_proto(box)) for label, box in answer.labels],
        comment=answer.comment,
    )


def _verdict_to_proto(verdict: Verdict) -> review_item_pb2.Answer.Verdict.ValueType:
    return review_item_pb2.Answer.Verdict.Value(f"VERDICT_{verdict.name}")


def _check_text(field: str, text: str, max_length: int) -> None:
    if len(text) > max_length or not text.isprintable():
        raise InvalidArgumentError.of_field(field, f"must be at most {max_length} printable characters")
