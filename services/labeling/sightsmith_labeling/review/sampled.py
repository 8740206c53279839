"""Predictions that inference has picked for review come into the queue."""

from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.api.events.v1.event_pb2 import Event, PredictionSampled
from sightsmith.errors import NotFoundError
from sightsmith.logs import get_logger
from sightsmith.names import DeploymentName, ProjectName
from sightsmith_labeling.projects import require_project
from sightsmith_labeling.review.item import Prediction, Reason, Seen
from sightsmith_labeling.review.items import add

SUBJECT = "sightsmith.events.prediction.sampled"
CONSUMER = "labeling-prediction-sampled"

_REASONS = {
    PredictionSampled.REASON_RANDOM: Reason.RANDOM,
    PredictionSampled.REASON_LOW_CONFIDENCE: Reason.LOW_CONFIDENCE,
}
_log = get_logger(__name__)


async def on_prediction_sampled(session: AsyncSession, event: Event) -> None:
    """Puts a sampled prediction into the queue of its project, once."""
    sampled = event.prediction_sampled
    project = DeploymentName.parse(sampled.deployment).project
    try:
        await require_project(session, ProjectName(project))
    except NotFoundError:
        _log.info("sampled prediction of a project that is not there", project=project)
        return
    prediction = Prediction(
        prediction_id=sampled.prediction_id,
        deployment=sampled.deployment,
        model=sampled.model,
        predictions=[Seen(label.label, label.confidence) for label in sampled.labels],
        reason=_REASONS.get(sampled.reason, Reason.RANDOM),
    )
    await add(session, project, sampled.image_sha256, prediction)
