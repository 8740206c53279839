"""Names and keys of labels: annotations name a label by its key, so that renaming one is a single row."""

from collections.abc import Iterable, Mapping

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith_labeling.arrays import is_one_of_texts
from sightsmith_labeling.quotas import require_room
from sightsmith_labeling.tables import LabelRow


async def label_keys(
    session: AsyncSession, project: str, names: Iterable[str], limit: int | None = None
) -> Mapping[str, int]:
    """Returns the keys of labels and makes those that the project does not have yet.

    The labels cannot be deleted before the transaction ends, so that what it writes never names one that is gone. Keys
    are not good beyond that.

    Args:
        session: the transaction.
        project: id of the project.
        names: of the labels.
        limit: how many labels the project may have; None for any number.

    Raises:
        ResourceExhaustedError: with the reason QUOTA_EXCEEDED, if that were too many.
    """
    wanted = sorted(set(names))
    keys = await _find(session, project, wanted)
    if missing := [name for name in wanted if name not in keys]:
        await require_room_for_labels(session, project, len(missing), limit)
        # Always in the same order, so that two transactions never wait for each other.
        rows = [{"project": project, "name": name} for name in missing]
        await session.execute(insert(LabelRow).on_conflict_do_nothing(), rows)
        keys |= await _find(session, project, missing)
    return keys


async def label_names(session: AsyncSession, project: str) -> Mapping[int, str]:
    """The names of a project's labels, by key."""
    found = select(LabelRow.key, LabelRow.name).where(LabelRow.project == project)
    return dict((await session.execute(found)).tuples().all())


async def require_room_for_labels(session: AsyncSession, project: str, new: int, limit: int | None) -> None:
    """Makes sure that a project may have more labels. Calls at the same time can each take the last place.

    Raises:
        ResourceExhaustedError: with the reason QUOTA_EXCEEDED, if it may not.
    """
    if limit is not None:
        there = await session.scalar(select(func.count()).where(LabelRow.project == project)) or 0
        require_room("labels in the project", there + new, limit)


async def _find(session: AsyncSession, project: str, names: list[str]) -> dict[str, int]:
    found = select(LabelRow.name, LabelRow.key).where(
        LabelRow.project == project, is_one_of_texts(LabelRow.name, names)
    )
    kept = found.order_by(LabelRow.key).with_for_update(read=True, key_share=True)
    return dict((await session.execute(kept)).tuples().all())
