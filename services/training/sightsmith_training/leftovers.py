"""What jobs store on their way, and what of it is of no use once they have ended, however they end."""

from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.names import ModelName, TrainingJobName
from sightsmith_training.discarded_files import discard
from sightsmith_training.models import model_id
from sightsmith_training.tables import JobRow, TrainingJobRow


def checkpoint_prefix(name: TrainingJobName) -> str:
    """Where a training keeps what it can go on from."""
    return f"checkpoints/{name.project}/{name.training_job}"


def model_prefix(name: ModelName) -> str:
    """Where the files of a model are, whether it came to be or not."""
    return f"models/{name.project}/{name.model}"


async def discard_leftovers(session: AsyncSession, row: JobRow) -> None:
    """Notes in the transaction that ends a job that its files are to go, but for those of a model that came to be.

    Not left to the worker, which may be lost: then nobody else knows of the files.
    """
    if not isinstance(row, TrainingJobRow) or row.start_time is None:
        return
    prefixes = [checkpoint_prefix(TrainingJobName(row.project, row.id))]
    if row.model_number is not None:
        # Of a model that came to be, too: an earlier attempt may have stored exports of other content.
        prefixes.append(model_prefix(ModelName(row.project, model_id(row.model_number))))
    await discard(session, [f"{prefix}/" for prefix in prefixes])
