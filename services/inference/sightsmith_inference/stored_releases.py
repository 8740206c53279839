"""Releases in the database."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import utc_now
from sightsmith_inference.models import ServableModel, runtime_wish, servable_of
from sightsmith_inference.releases import LIVE, Release, ShadowFigures, Target
from sightsmith_inference.tables import ModelRow, ReleaseRow, TargetRow, TritonModelRow

KEPT_RELEASES = 10
"""How many releases that served are kept, to go back to them."""

TargetRows = tuple[ReleaseRow, TargetRow, TritonModelRow | None, ModelRow | None, bool]
"""With whether the target's model version stands ready."""


async def add_release(session: AsyncSession, deployment: uuid.UUID, targets: Iterable[Target]) -> int:
    """Writes down what is to answer together; the deployment's row is locked, or new. Returns the release's number."""
    highest = select(func.coalesce(func.max(ReleaseRow.number), 0)).where(ReleaseRow.deployment == deployment)
    number = int(await session.scalar(highest) or 0) + 1
    session.add(ReleaseRow(deployment=deployment, number=number))
    # Targets refer to the release.
    await session.flush()
    session.add_all(
        TargetRow(
            deployment=deployment,
            release=number,
            alias=target.alias,
            model=target.model,
            runtime=target.runtime,
            share=target.share,
            is_shadow=target.is_shadow,
        )
        for target in targets
    )
    await session.flush()
    return number


async def put_into_service(
    session: AsyncSession, deployment: uuid.UUID, number: int, servables: Mapping[str, ServableModel]
) -> None:
    """Notes what runs each alias of a release, and forgets releases that nobody will go back to."""
    await take_out_of_service(session, deployment)
    for alias, servable in servables.items():
        await session.execute(
            update(TargetRow)
            .where(TargetRow.deployment == deployment, TargetRow.release == number, TargetRow.alias == alias)
            .values(triton_model=servable.triton_model)
        )
    of_deployment = ReleaseRow.deployment == deployment
    await session.execute(
        update(ReleaseRow).where(of_deployment, ReleaseRow.number == number).values(serve_time=utc_now())
    )
    served = select(ReleaseRow.number).where(of_deployment, ReleaseRow.serve_time.is_not(None))
    kept = served.order_by(ReleaseRow.serve_time.desc()).limit(KEPT_RELEASES)
    # Never a later wish: one that was made meanwhile has a higher number.
    forgotten = (ReleaseRow.number < number) & ReleaseRow.number.not_in(kept)
    await session.execute(delete(ReleaseRow).where(of_deployment, forgotten))


async def take_out_of_service(session: AsyncSession, deployment: uuid.UUID) -> None:
    """Notes that nothing runs any release of a deployment."""
    held = (TargetRow.deployment == deployment) & TargetRow.triton_model.is_not(None)
    await session.execute(update(TargetRow).where(held).values(triton_model=None))


async def count_shadows(session: AsyncSession, figures: Mapping[tuple[uuid.UUID, int, str], ShadowFigures]) -> None:
    """Adds to the figures of shadows, by deployment, release and alias. Those that are gone are passed over."""
    for (deployment, release, alias), more in sorted(figures.items()):
        added = {name: getattr(TargetRow, name) + value for name, value in vars(more).items()}
        await session.execute(
            update(TargetRow)
            .where(TargetRow.deployment == deployment, TargetRow.release == release, TargetRow.alias == alias)
            .values(**added)
        )


def releases_of(rows: Iterable[TargetRows]) -> Sequence[Release]:
    """Releases from joined rows that are ordered by release."""
    by_release = groupby(rows, key=lambda row: row[0])
    return [_release_of(release, [_target_of(*row[1:]) for row in of_release]) for release, of_release in by_release]


def _release_of(row: ReleaseRow, targets: Iterable[Target]) -> Release:
    in_order = sorted(targets, key=lambda target: (target.alias != LIVE, target.alias))
    return Release(row.number, tuple(in_order), row.serve_time)


def _target_of(row: TargetRow, triton_model: TritonModelRow | None, model: ModelRow | None, is_staged: bool) -> Target:
    return Target(
        alias=row.alias,
        model=row.model,
        runtime=runtime_wish(row.runtime),
        share=row.share,
        is_shadow=row.is_shadow,
        servable=servable_of(triton_model, model) if triton_model and model else None,
        is_staged=is_staged,
        figures=ShadowFigures(row.compared, row.disagreed, row.dropped, row.failed, row.seconds),
    )
