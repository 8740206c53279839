"""Noting which files of the object store are to be deleted, because their project is."""

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.names import ProjectName
from sightsmith_labeling.exports.request import EXPORT_JOBS, export_key
from sightsmith_labeling.jobs.tables import DiscardedFileRow, JobRow, UploadedFileRow
from sightsmith_labeling.review.tables import ReviewItemRow
from sightsmith_labeling.validation.request import VALIDATION_JOBS, ValidationFile, validation_key


async def discard_files(session: AsyncSession, project: ProjectName) -> None:
    """Notes a project's samples, the files that clients sent, and those that its jobs wrote or are about to write.

    What is noted in the transaction that deletes the project is deleted afterwards, by `jobs/upkeep.py`. Each file is
    noted by itself: another project of the same id may have files beside them by then.
    """
    id_ = project.project
    uploads = await session.scalars(select(UploadedFileRow.key).where(UploadedFileRow.project == id_))
    keys = list(uploads)
    samples = ReviewItemRow.expire_time.is_not(None)
    keys += await session.scalars(select(ReviewItemRow.image_key).where(ReviewItemRow.project == id_, samples))
    jobs = select(JobRow.kind, JobRow.id).where(JobRow.project == id_, JobRow.result["is_deleted"].is_(None))
    for kind, job in await session.execute(jobs.where(JobRow.kind.in_((EXPORT_JOBS, VALIDATION_JOBS)))):
        if kind == EXPORT_JOBS:
            keys.append(export_key(id_, job))
        else:
            keys += [validation_key(id_, job, file) for file in ValidationFile]
    if keys:
        await session.execute(insert(DiscardedFileRow), [{"key": key} for key in keys])
