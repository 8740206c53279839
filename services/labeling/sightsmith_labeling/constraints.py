"""Which rule of the database a refused change broke."""

import psycopg
from sqlalchemy.exc import IntegrityError


def violated_constraint(error: IntegrityError) -> str:
    """Name of the violated constraint, such as `uq_datasets_project_split`; empty if PostgreSQL does not say."""
    cause = error.orig
    return (cause.diag.constraint_name or "") if isinstance(cause, psycopg.Error) else ""
