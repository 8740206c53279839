"""From a model's answers to an evaluation that everybody can see, in one transaction."""

import asyncio
import uuid

from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database
from sightsmith.names import EvaluationName
from sightsmith_training.engine.contract import Answers
from sightsmith_training.engine.evaluation_result import Evaluation
from sightsmith_training.evaluations.matching import Rules, match
from sightsmith_training.evaluations.selection import SelectedImages
from sightsmith_training.evaluations.storing import add_images
from sightsmith_training.jobs import JobState, end_job
from sightsmith_training.leases import EvaluationLease, locked_row
from sightsmith_training.models import locked_model_row, rules_of
from sightsmith_training.tables import EvaluationJobRow, EvaluationRow, ModelRow

_TOLD_UNUSABLE = 100


class EvaluationPublishing:
    """Judges the answers of models, and makes the evaluations visible."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def publish(self, lease: EvaluationLease, selected: SelectedImages, answers: Answers) -> EvaluationName:
        """Publishes an evaluation, by the thresholds that the model has now.

        Args:
            lease: of the job.
            selected: the images that were to be answered.
            answers: what the model says of them.

        Raises:
            LeaseLostError: if the job is not this worker's any more; then nothing becomes visible.
            NotFoundError: if the model was deleted meanwhile.
            UnavailableError: if the database cannot be reached.
        """
        name = EvaluationName(lease.model.project, lease.model.model, lease.id)
        async with self._database.transaction() as session:
            # Locked, so that no threshold changes between the judging and the moment when all can see it.
            model = await locked_model_row(session, lease.model)
            await _add(session, model, lease, selected, answers)
            # Last: many images take longer to write than the lease lasts, and its heartbeat needs the row, too.
            job = await locked_row(session, EvaluationJobRow, lease)
            job.evaluation = str(name)
            await end_job(session, job, JobState.SUCCEEDED)
        return name


async def _add(
    session: AsyncSession, model: ModelRow, lease: EvaluationLease, selected: SelectedImages, answers: Answers
) -> None:
    rules = rules_of(model)
    figures = await asyncio.to_thread(_judge, rules, answers)
    row = EvaluationRow(
        id=uuid.uuid4(),
        model_id=model.id,
        is_own=False,
        resource_id=lease.id,
        job_sequence=lease.sequence,
        snapshot=lease.snapshot,
        selection=selected.judged(answers.unusable_images, rules.labels, _TOLD_UNUSABLE).model_dump(),
        figures=figures.model_dump(),
    )
    session.add(row)
    await session.flush()  # the images refer to the evaluation
    await add_images(session, row.id, rules, answers.predictions)


def _judge(rules: Rules, answers: Answers) -> Evaluation:
    # Not at the start of the worker, because what makes intervals takes a second to load.
    from sightsmith_training.evaluations.figures import evaluate_anew

    return evaluate_anew(match(rules, answers.predictions), "unseen")
