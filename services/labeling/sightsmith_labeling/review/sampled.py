"""Predictions that inference has picked for review come into the queue."""

from datetime import UTC

from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.api.events.v1.event_pb2 import Event, PredictionSampled
from sightsmith.errors import NotFoundError
from sightsmith.logs import get_logger
from sightsmith.names import DeploymentName, ProjectName
from sightsmith.objects import image_key
from sightsmith_labeling.jobs.tables import DiscardedFileRow
from sightsmith_labeling.projects import require_project
from sightsmith_labeling.review.item import Prediction, Reason, Sample, Seen
from sightsmith_labeling.review.items import add_sample

SUBJECT = "sightsmith.events.prediction.sampled"
CONSUMER = "labeling-prediction-sampled"

_REASONS = {
    PredictionSampled.REASON_RANDOM: Reason.RANDOM,
    PredictionSampled.REASON_LOW_CONFIDENCE: Reason.LOW_CONFIDENCE,
    PredictionSampled.REASON_NEAR_THRESHOLD: Reason.NEAR_THRESHOLD,
    PredictionSampled.REASON_DISAGREEMENT: Reason.DISAGREEMENT,
    PredictionSampled.REASON_DRIFT: Reason.DRIFT,
}
_log = get_logger(__name__)


async def on_prediction_sampled(session: AsyncSession, event: Event) -> None:
    """Puts a sampled prediction into the queue of its project, once. An image that nobody needs is deleted."""
    sampled = event.prediction_sampled
    project = DeploymentName.parse(sampled.deployment).project
    try:
        await require_project(session, ProjectName(project))
        is_needed = await add_sample(
            session, project, sampled.image_sha256, _prediction_of(sampled), _sample_of(sampled)
        )
    except NotFoundError:
        _log.info("sampled prediction of a project that is not there", project=project)
        is_needed = False
    if not is_needed and sampled.image_key:
        session.add(DiscardedFileRow(key=sampled.image_key))


def _prediction_of(sampled: PredictionSampled) -> Prediction:
    return Prediction(
        prediction_id=sampled.prediction_id,
        deployment=sampled.deployment,
        model=sampled.model,
        predictions=[Seen(label.label, label.confidence, answered=label.answered) for label in sampled.labels],
        reason=_REASONS.get(sampled.reason, Reason.RANDOM),
    )


def _sample_of(sampled: PredictionSampled) -> Sample:
    return Sample(
        # Services of before kept samples among all images, without an end.
        image_key=sampled.image_key or image_key(sampled.image_sha256),
        expire_time=sampled.expire_time.ToDatetime(UTC) if sampled.HasField("expire_time") else None,
        # By the inverse of the probability of being picked (D. G. Horvitz and D. J. Thompson, 1952).
        weight=1 / sampled.inclusion_probability if sampled.inclusion_probability > 0 else 0.0,
    )
