"""Between suggestions and their protobuf messages."""

from collections.abc import Mapping, Sequence

from sightsmith.api.labeling.v1 import annotation_pb2, suggestion_pb2, suggestion_service_pb2
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import DatasetName, DeploymentName, ImageName, ProjectName, SuggestionName
from sightsmith_labeling.annotations import Box
from sightsmith_labeling.convert import timestamp
from sightsmith_labeling.jobs.convert import error_to_proto, progress_to_proto, state_to_proto
from sightsmith_labeling.jobs.job import Job
from sightsmith_labeling.suggestions.deciding import Decided, Decision
from sightsmith_labeling.suggestions.job import SuggestionCounts, SuggestionSpec
from sightsmith_labeling.suggestions.making import Predicted
from sightsmith_labeling.suggestions.suggestion import Suggestion, SuggestionFilter, SuggestionState
from sightsmith_labeling.suggestions.suggestions import Order

_MOST_IMAGES = 10_000
_MOST_SUGGESTIONS = 1000
_STATES = {
    suggestion_pb2.Suggestion.STATE_PENDING: SuggestionState.PENDING,
    suggestion_pb2.Suggestion.STATE_ACCEPTED: SuggestionState.ACCEPTED,
    suggestion_pb2.Suggestion.STATE_CORRECTED: SuggestionState.CORRECTED,
    suggestion_pb2.Suggestion.STATE_REJECTED: SuggestionState.REJECTED,
}
_PROTO_STATES = {state: proto for proto, state in _STATES.items()}
_ListRequest = suggestion_service_pb2.ListSuggestionsRequest
_ORDERS = {
    _ListRequest.ORDER_UNSPECIFIED: Order.BY_IMAGE,
    _ListRequest.ORDER_LEAST_CONFIDENT_FIRST: Order.LEAST_CONFIDENT_FIRST,
    _ListRequest.ORDER_MOST_CONFIDENT_FIRST: Order.MOST_CONFIDENT_FIRST,
}
_DECISIONS = {
    suggestion_service_pb2.BatchDecideSuggestionsRequest.DECISION_ACCEPT: Decision.ACCEPT,
    suggestion_service_pb2.BatchDecideSuggestionsRequest.DECISION_REJECT: Decision.REJECT,
}


def suggestion_to_proto(suggestion: Suggestion) -> suggestion_pb2.Suggestion:
    """A suggestion as a client sees it."""
    message = suggestion_pb2.Suggestion(
        name=str(suggestion.name),
        image=str(suggestion.image),
        label=suggestion.label,
        box=box_to_proto(suggestion.box),
        confidence=suggestion.confidence,
        model=suggestion.model,
        state=_PROTO_STATES[suggestion.state],
        corrected_label=suggestion.corrected_label or "",
        corrected_box=box_to_proto(suggestion.corrected_box),
        decider=suggestion.decider,
        create_time=timestamp(suggestion.create_time),
    )
    if suggestion.decide_time is not None:
        message.decide_time.FromDatetime(suggestion.decide_time)
    return message


def box_to_proto(box: Box | None) -> annotation_pb2.BoundingBox | None:
    """A box as a client sees it."""
    return annotation_pb2.BoundingBox(**vars(box)) if box is not None else None


def box_from_proto(box: annotation_pb2.BoundingBox) -> Box:
    """A box as a client gives it; not checked yet."""
    return Box(box.left, box.top, box.width, box.height)


def predictions_from_proto(
    request: suggestion_service_pb2.BatchCreateSuggestionsRequest,
) -> tuple[ProjectName, str, Sequence[tuple[ImageName, Predicted]]]:
    """Reads predictions that a client brings: their project, their model, and what it saw on which image.

    Raises:
        InvalidArgumentError: naming the field that is wrong.
    """
    project = ProjectName.parse(request.parent, "parent")
    _check_count("suggestions", len(request.suggestions), _MOST_SUGGESTIONS)
    model = request.suggestions[0].model
    predictions = []
    for index, message in enumerate(request.suggestions):
        if message.model != model:
            raise InvalidArgumentError.of_field(f"suggestions[{index}].model", "must be the same for all of them")
        image = ImageName.parse(message.image, f"suggestions[{index}].image")
        _check_project(f"suggestions[{index}].image", image, project)
        box = box_from_proto(message.box) if message.HasField("box") else None
        predictions.append((image, Predicted(message.label, message.confidence, box)))
    return project, model, predictions


def filter_from_proto(message: suggestion_service_pb2.SuggestionFilter, project: ProjectName) -> SuggestionFilter:
    """Reads which suggestions are meant.

    Raises:
        InvalidArgumentError: naming the field that is wrong.
    """
    dataset = DatasetName.parse(message.dataset, "filter.dataset") if message.dataset else None
    image = ImageName.parse(message.image, "filter.image") if message.image else None
    for field, name in (("filter.dataset", dataset), ("filter.image", image)):
        if name is not None:
            _check_project(field, name, project)
    unknown = [state for state in message.states if state not in _STATES]
    if unknown:
        raise InvalidArgumentError.of_field("filter.states", f"there is none of number {unknown[0]}")
    if not 0 <= message.min_confidence <= 1:
        raise InvalidArgumentError.of_field("filter.min_confidence", f"must be 0 to 1, not {message.min_confidence}")
    states = [_STATES[state] for state in message.states]
    return SuggestionFilter(states, message.label, message.model, message.min_confidence, dataset, image)


def order_from_proto(order: suggestion_service_pb2.ListSuggestionsRequest.Order.ValueType) -> Order:
    """Reads the order of a list.

    Raises:
        InvalidArgumentError: if it is none that is known here; a newer client may know more.
    """
    if order not in _ORDERS:
        raise InvalidArgumentError.of_field("order", f"there is none of number {order}")
    return _ORDERS[order]


def decision_from_proto(decision: suggestion_service_pb2.BatchDecideSuggestionsRequest.Decision.ValueType) -> Decision:
    """Reads what is decided.

    Raises:
        InvalidArgumentError: if it is none that is known here; a newer client may know more.
    """
    if decision not in _DECISIONS:
        raise InvalidArgumentError.of_field("decision", f"there is none of number {decision}")
    return _DECISIONS[decision]


def chosen_from_proto(
    request: suggestion_service_pb2.BatchDecideSuggestionsRequest, project: ProjectName
) -> SuggestionFilter | Sequence[SuggestionName]:
    """Reads which suggestions are decided.

    Raises:
        InvalidArgumentError: naming the field that is wrong.
    """
    if bool(request.names) == request.HasField("filter"):
        raise InvalidArgumentError.of_field("names", "must be given, or else filter")
    if request.HasField("filter"):
        if request.etags:
            raise InvalidArgumentError.of_field("etags", "can be given only together with names")
        return filter_from_proto(request.filter, project)
    _check_count("names", len(request.names), _MOST_SUGGESTIONS)
    names = [SuggestionName.parse(name, f"names[{index}]") for index, name in enumerate(request.names)]
    for index, name in enumerate(names):
        _check_project(f"names[{index}]", name, project)
    return names


def etags_from_proto(etags: Mapping[str, str]) -> Mapping[ImageName, str]:
    """Reads the etags of images.

    Raises:
        InvalidArgumentError: if one of the keys is not the name of an image.
    """
    return {ImageName.parse(name, "etags"): etag for name, etag in etags.items()}


def decided_to_proto(decided: Decided) -> suggestion_service_pb2.BatchDecideSuggestionsResponse:
    """What was decided, as a client sees it."""
    response = suggestion_service_pb2.BatchDecideSuggestionsResponse
    counts = [response.LabelCount(label=name, suggestion_count=count) for name, count in sorted(decided.labels.items())]
    return response(
        suggestion_count=decided.labels.total(),
        image_count=decided.image_count,
        label_counts=counts,
        skipped_suggestions=map(suggestion_to_proto, decided.skipped),
    )


def spec_from_proto(project: ProjectName, job: suggestion_pb2.SuggestionJob) -> SuggestionSpec:
    """Reads what a job is to do.

    Raises:
        InvalidArgumentError: naming the field that is wrong.
    """
    field = "suggestion_job"
    _check_project(f"{field}.deployment", DeploymentName.parse(job.deployment, f"{field}.deployment"), project)
    if job.dataset:
        _check_project(f"{field}.dataset", DatasetName.parse(job.dataset, f"{field}.dataset"), project)
    _check_count(f"{field}.images", len(job.images), _MOST_IMAGES)
    for index, image in enumerate(job.images):
        _check_project(f"{field}.images[{index}]", ImageName.parse(image, f"{field}.images[{index}]"), project)
    if not 0 < job.min_confidence <= 1:
        description = f"must be above 0 and at most 1, not {job.min_confidence}"
        raise InvalidArgumentError.of_field(f"{field}.min_confidence", description)
    if job.max_images < 0:
        raise InvalidArgumentError.of_field(f"{field}.max_images", f"must not be negative, not {job.max_images}")
    return SuggestionSpec(
        deployment=job.deployment,
        dataset=job.dataset,
        images=list(job.images),
        min_confidence=job.min_confidence,
        include_labelled=job.include_labelled,
        max_images=job.max_images,
    )


def job_to_proto(job: Job) -> suggestion_pb2.SuggestionJob:
    """A job as a client sees it."""
    spec = SuggestionSpec(**job.spec)
    counts = SuggestionCounts(**job.result) if job.result else SuggestionCounts()
    message = suggestion_pb2.SuggestionJob(
        name=str(job.name),
        deployment=spec.deployment,
        dataset=spec.dataset,
        images=spec.images,
        min_confidence=spec.min_confidence,
        include_labelled=spec.include_labelled,
        max_images=spec.max_images,
        state=state_to_proto(job.state),
        progress=progress_to_proto(job.progress),
        image_count=counts.images,
        suggestion_count=counts.suggestions,
        failed_image_count=counts.failed,
        error=error_to_proto(job.error),
        revision=job.revision,
        create_time=timestamp(job.create_time),
    )
    if job.start_time is not None:
        message.start_time.FromDatetime(job.start_time)
    if job.end_time is not None:
        message.end_time.FromDatetime(job.end_time)
    return message


def _check_count(field: str, count: int, limit: int) -> None:
    if count > limit:
        raise InvalidArgumentError.of_field(field, f"can hold at most {limit}, not {count}")


def _check_project(
    field: str, name: DatasetName | ImageName | DeploymentName | SuggestionName, project: ProjectName
) -> None:
    if name.project != project.project:
        raise InvalidArgumentError.of_field(field, f"must be of {project}, not {name}")
