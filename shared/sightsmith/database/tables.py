"""What the tables of all services have in common."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, Double, MetaData, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase

# Constraint names that migrations and code can rely on.
_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class TableBase(DeclarativeBase):
    """Maps Python types to PostgreSQL types in one place."""

    __abstract__ = True
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        int: BigInteger,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[dict[str, Any]]: JSONB,
        list[str]: ARRAY(Text),
        list[float]: ARRAY(Double),
    }


def schema_metadata(schema: str) -> MetaData:
    """Metadata for the tables of one service.

    Args:
        schema: the PostgreSQL schema that the service owns.
    """
    return MetaData(schema=schema, naming_convention=_NAMES)


def utc_now() -> datetime:
    """The present time, with its zone."""
    return datetime.now(UTC)
