"""Deployments, as they are read from the database."""

from collections.abc import Sequence
from itertools import groupby

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.errors import NotFoundError
from sightsmith.names import DeploymentName
from sightsmith_inference.deployment import Deployment, DeploymentError, DeploymentState, Proposal
from sightsmith_inference.models import stands_ready
from sightsmith_inference.releases import Release
from sightsmith_inference.replicas import ReplicaRange, Scale
from sightsmith_inference.sampling_policy import SamplingPolicy
from sightsmith_inference.stored_releases import releases_of
from sightsmith_inference.tables import DeploymentRow, ModelRow, ReleaseRow, TargetRow, TritonModelRow

_PROPOSAL = TypeAdapter[Proposal | None](Proposal | None)


async def locked(session: AsyncSession, name: DeploymentName) -> DeploymentRow:
    """The row of a deployment, which nobody else changes meanwhile.

    Raises:
        NotFoundError: if there is none of that name.
    """
    row = await session.scalar(select(DeploymentRow).where(is_named(name)).with_for_update())
    if row is None:
        raise NotFoundError(str(name))
    return row


async def get(session: AsyncSession, name: DeploymentName) -> Deployment:
    """A deployment with its history.

    Raises:
        NotFoundError: if there is none of that name.
    """
    found = await fetch(session, is_named(name))
    if not found:
        raise NotFoundError(str(name))
    return found[0]


async def fetch(session: AsyncSession, wanted: ColumnElement[bool]) -> Sequence[Deployment]:
    """Deployments in the order of their ids, in one query, so that a deployment and its releases belong together."""
    query = (
        select(DeploymentRow, ReleaseRow, TargetRow, TritonModelRow, ModelRow, stands_ready(TargetRow.model))
        .join(ReleaseRow, ReleaseRow.deployment == DeploymentRow.id)
        .join(TargetRow, (TargetRow.deployment == DeploymentRow.id) & (TargetRow.release == ReleaseRow.number))
        .outerjoin(TritonModelRow, TargetRow.triton_model == TritonModelRow.name)
        .outerjoin(ModelRow, TritonModelRow.model == ModelRow.name)
        .where(wanted)
        .order_by(DeploymentRow.deployment_id, DeploymentRow.id, ReleaseRow.number)
    )
    rows = await session.execute(query)
    by_deployment = groupby(rows, key=lambda row: row[0])
    return [_deployment_of(row, releases_of(joined[1:] for joined in of_row)) for row, of_row in by_deployment]


def is_named(name: DeploymentName) -> ColumnElement[bool]:
    """Whether a row is that of a deployment."""
    return (DeploymentRow.project == name.project) & (DeploymentRow.deployment_id == name.deployment)


def _deployment_of(row: DeploymentRow, releases: Sequence[Release]) -> Deployment:
    by_number = {release.number: release for release in releases}
    served = by_number[row.serving_release] if row.serving_release is not None else None
    return Deployment(
        id=row.id,
        generation=row.generation,
        revision=row.revision,
        name=DeploymentName(row.project, row.deployment_id),
        state=DeploymentState(row.state),
        wanted=by_number[row.wanted_release],
        served=served,
        history=_history(releases, served),
        sampling=SamplingPolicy(**row.sampling),
        replicas=ReplicaRange(row.min_replicas, row.max_replicas, row.idle_seconds),
        scale=_scale_of(row),
        is_tuned=row.is_tuned,
        error=_error_of(row),
        create_time=row.create_time,
        update_time=row.update_time,
        proposal=_PROPOSAL.validate_python(row.proposal),
    )


def _scale_of(row: DeploymentRow) -> Scale:
    return Scale(row.replicas, row.ready_replicas, row.replicas_reason, row.replicas_time, row.last_use_time)


def _history(releases: Sequence[Release], served: Release | None) -> Sequence[Release]:
    """Those that answered before the present one, the last one first."""
    times = {release.serve_time: release for release in releases if release.serve_time and release is not served}
    return [times[time] for time in sorted(times, reverse=True)]


def _error_of(row: DeploymentRow) -> DeploymentError | None:
    if row.error_code is None:
        return None
    return DeploymentError(row.error_code, row.error_reason or "", row.error_message or "")
