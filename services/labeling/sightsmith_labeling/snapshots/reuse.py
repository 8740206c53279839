"""Which snapshots did for requests that any equal one would do for.

The audit trail tells: such a request takes no snapshot, so that no snapshot can tell of it.
"""

import uuid
from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.names import ProjectName, SnapshotName
from sightsmith_labeling import changes
from sightsmith_labeling.tables import ChangeRow

Asked = Mapping[str, float | int | bool]
"""What a request asked for, by name."""

_ACTION = "snapshots.reuse"
_REQUEST = "request_id"


def record_reuse(session: AsyncSession, snapshot: SnapshotName, request_id: uuid.UUID, asked: Asked) -> None:
    """Notes that a snapshot did for a request."""
    details = {_REQUEST: str(request_id), **asked}
    changes.record(session, snapshot.project, snapshot, _ACTION, **details)


async def reused_by(
    session: AsyncSession, project: ProjectName, request_id: uuid.UUID
) -> tuple[SnapshotName, Asked] | None:
    """The snapshot that did for a request of a project, and what that asked for; None if none did."""
    of_snapshots = f"{project}/snapshots/"
    entry = await session.scalar(
        select(ChangeRow)
        # As a range of an index; the next character after the slash ends it.
        .where(ChangeRow.resource >= of_snapshots, ChangeRow.resource < of_snapshots[:-1] + "0")
        .where(ChangeRow.action == _ACTION, ChangeRow.details[_REQUEST].astext == str(request_id))
        .order_by(ChangeRow.key)
        .limit(1)
    )
    if entry is None:
        return None
    asked = {name: value for name, value in entry.details.items() if name != _REQUEST}
    return SnapshotName.parse(entry.resource), asked
