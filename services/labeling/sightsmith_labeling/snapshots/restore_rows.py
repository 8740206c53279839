"""The rows that a restoration reads and writes, many by each statement."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Text,
    any_,
    cast,
    column,
    exists,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.names import DatasetName, ImageName
from sightsmith_labeling.annotations import read_all
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.snapshots.restore_plan import PresentImage
from sightsmith_labeling.tables import SCHEMA, Base, DatasetRow, ImageRow

_CHANGED = (
    ImageRow.sequence,
    ImageRow.dataset,
    ImageRow.id,
    ImageRow.source,
    ImageRow.annotations,
    ImageRow.last_annotation,
    ImageRow.update_time,
)
_RETURNED = (
    ImageRow.dataset,
    ImageRow.id,
    ImageRow.source,
    ImageRow.annotations,
    ImageRow.last_annotation,
    ImageRow.update_time,
    ImageRow.create_time,
    ImageRow.sha256,
    ImageRow.width,
    ImageRow.height,
    ImageRow.size_bytes,
    ImageRow.media_type,
    ImageRow.signals,
)
Row = Mapping[str, Any]
"""An image as an object of JSON, with a value for each column that is written."""


async def lock_project(session: AsyncSession, project: str) -> None:
    """Holds back everybody else who would change the project's images, until the transaction ends."""
    # In the order of arrival, so that two transactions never wait for each other; the datasets last, as others do.
    images = (
        select(ImageRow.sequence)
        .join(DatasetRow, DatasetRow.key == ImageRow.dataset)
        .where(DatasetRow.project == project)
        .order_by(ImageRow.sequence)
        .with_for_update(of=ImageRow)
        .subquery()
    )
    await session.execute(select(func.count()).select_from(images))
    await session.execute(select(DatasetRow.key).where(DatasetRow.project == project).with_for_update())


async def known(session: AsyncSession, project: str, sha256s: Sequence[str]) -> set[str]:
    """Those images, by SHA-256, of which the project has a copy."""
    wanted = (
        select(ImageRow.sha256)
        .join(DatasetRow, DatasetRow.key == ImageRow.dataset)
        .where(DatasetRow.project == project, _is_one_of(sha256s))
    )
    return {sha256 for sha256 in await session.scalars(wanted) if sha256 is not None}


async def present_images(
    session: AsyncSession, project: str, sha256s: Sequence[str], labels: Mapping[int, str]
) -> Mapping[str, Sequence[PresentImage]]:
    """The copies of images that the project has, by SHA-256; an empty list for those that it has not."""
    wanted = (
        select(
            ImageRow.sha256,
            ImageRow.sequence,
            DatasetRow.id,
            ImageRow.id,
            ImageRow.source,
            ImageRow.annotations,
            ImageRow.last_annotation,
        )
        .join(DatasetRow, DatasetRow.key == ImageRow.dataset)
        .where(DatasetRow.project == project, _is_one_of(sha256s))
    )
    found: dict[str, list[PresentImage]] = defaultdict(list)
    for sha256, sequence, dataset, image, source, annotations, last in await session.execute(wanted):
        name = ImageName(project, dataset, image)
        found[str(sha256)].append(PresentImage(sequence, name, source, read_all(annotations, labels), last))
    return found


async def make_dataset(session: AsyncSession, name: DatasetName, split: Split, time: datetime) -> int | None:
    """Makes a dataset and returns its key; None if the project has another one for the split."""
    row = {"project": name.project, "id": name.dataset, "split": split.value, "create_time": time}
    return await session.scalar(
        insert(DatasetRow).values(row).on_conflict_do_nothing().returning(DatasetRow.key),
    )


async def change_images(session: AsyncSession, rows: Sequence[Row]) -> None:
    """Writes images that the project has."""
    new = _recordset(_CHANGED, rows)
    values = {attribute.key: new.c[attribute.key] for attribute in _CHANGED[1:]}
    changed = update(ImageRow).where(ImageRow.sequence == new.c.sequence)
    changed = changed.values(**values, revision=ImageRow.revision + 1)
    await session.execute(changed, execution_options={"synchronize_session": False})


async def return_images(session: AsyncSession, rows: Sequence[Row]) -> Sequence[int]:
    """Writes images that the project has no longer, and returns their keys."""
    table = Base.metadata.tables[f"{SCHEMA}.{ImageRow.__tablename__}"]
    names = [attribute.key for attribute in _RETURNED]
    returned = insert(table).from_select(names, select(_recordset(_RETURNED, rows)), include_defaults=False)
    return (await session.scalars(returned.returning(table.c.sequence))).all()


async def clear_others(session: AsyncSession, project: str, restored: Sequence[int], time: datetime) -> Sequence[str]:
    """Takes the annotations from all images but those, given by their keys; returns the ids of those that had any."""
    cleared = (
        update(ImageRow)
        .where(*_others(project, restored))
        .values(annotations=[], revision=ImageRow.revision + 1, update_time=time)
        .returning(ImageRow.id)
    )
    return (await session.scalars(cleared, execution_options={"synchronize_session": False})).all()


async def count_others(session: AsyncSession, project: str, restored: Sequence[int]) -> int:
    """How many images `clear_others` would clear."""
    return await session.scalar(select(func.count()).where(*_others(project, restored))) or 0


def _others(project: str, restored: Sequence[int]) -> Sequence[ColumnElement[bool]]:
    key = func.unnest(cast(list(restored), ARRAY(BigInteger))).column_valued("restored")
    datasets = select(DatasetRow.key).where(DatasetRow.project == project)
    return (
        ImageRow.dataset.in_(datasets),
        ImageRow.is_labelled.is_(True),
        ImageRow.state == "ready",
        ~exists(select(key).where(key == ImageRow.sequence)),
    )


def _recordset(columns: Sequence[Any], rows: Sequence[Row]) -> Any:
    """Rows as a table. They are one parameter, so that the statement is the same for any number of them."""
    return (
        func.jsonb_to_recordset(literal(list(rows), JSONB))
        .table_valued(*(column(attribute.key, attribute.type) for attribute in columns))
        .render_derived(name="new", with_types=True)
    )


def _is_one_of(sha256s: Sequence[str]) -> ColumnElement[bool]:
    return ImageRow.sha256 == any_(cast(list(sha256s), ARRAY(Text)))
