"""The audit trail: who did what to which resource, and when."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.actor import current_actor
from sightsmith.logs import current_request_id
from sightsmith_labeling.tables import ChangeRow


def record(session: AsyncSession, project: str, resource: object, action: str, **details: Any) -> None:
    """Adds an entry to the audit trail, in the transaction that makes the change.

    Args:
        session: the transaction.
        project: id of the project.
        resource: name of what is changed.
        action: what is done, as `images.delete` or `labels.rename`.
        details: what a reader wants to know, as JSON values: what was before, what is now, how many.
    """
    session.add(
        ChangeRow(
            project=project,
            resource=str(resource),
            action=action,
            actor=current_actor(),
            request_id=current_request_id(),
            details=details,
        )
    )
