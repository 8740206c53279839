"""Comparing a column with many values by one parameter, because a statement has room for 65,535 parameters only."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Text, any_, cast, literal
from sqlalchemy.orm import InstrumentedAttribute


def is_one_of_texts(column: InstrumentedAttribute[Any], values: Iterable[str]) -> ColumnElement[bool]:
    """Whether a column of text holds one of these, however many they are."""
    return column == any_(cast(literal(list(values), ARRAY(Text)), ARRAY(Text)))


def is_one_of_keys(column: InstrumentedAttribute[Any], values: Iterable[int]) -> ColumnElement[bool]:
    """Whether a column of keys holds one of these, however many they are."""
    return column == any_(cast(literal(list(values), ARRAY(BigInteger)), ARRAY(BigInteger)))
