"""Labels of a project."""

from collections.abc import Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith_labeling.tables import LabelRow


async def label_keys(session: AsyncSession, project: str, names: Iterable[str]) -> Mapping[str, int]:
    """Returns the keys of labels and makes those that the project does not have yet."""
    wanted = sorted(set(names))
    keys = await _find(session, project, wanted)
    if missing := [name for name in wanted if name not in keys]:
        # Always in the same order, so that two transactions never wait for each other.
        rows = [{"project": project, "name": name} for name in missing]
        await session.execute(insert(LabelRow).on_conflict_do_nothing(), rows)
        keys |= await _find(session, project, missing)
    return keys


async def label_names(session: AsyncSession, project: str) -> Mapping[int, str]:
    """The names of a project's labels, by key."""
    found = select(LabelRow.key, LabelRow.name).where(LabelRow.project == project)
    return dict((await session.execute(found)).tuples().all())


async def _find(session: AsyncSession, project: str, names: list[str]) -> dict[str, int]:
    found = select(LabelRow.name, LabelRow.key).where(LabelRow.project == project, LabelRow.name.in_(names))
    return dict((await session.execute(found)).tuples().all())
