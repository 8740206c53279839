"""Many images are read a bounded amount at a time, however many annotations they have."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from itertools import chain

import pytest
from sqlalchemy import insert, select, text

from sightsmith.database import Database, migrate
from sightsmith.stack import Endpoints
from sightsmith_labeling.reading import image_batches, one_moment
from sightsmith_labeling.tables import MIGRATIONS, SCHEMA, DatasetRow, ImageRow, ProjectRow

_ADD = text(
    """
    INSERT INTO labeling.images (dataset, id, state, source, annotations, create_time)
    SELECT :dataset, new.place::text, 'pending', new.place::text, annotations, now()
    FROM unnest(CAST(:boxes AS integer[])) WITH ORDINALITY AS new (boxes, place), LATERAL (
        SELECT coalesce(jsonb_agg(jsonb_build_object('id', box, 'label', 1)), '[]') AS annotations
        FROM generate_series(1, new.boxes) AS box) AS made
    ORDER BY new.place
    """
)


@pytest.fixture(scope="module")
async def database(servers: Endpoints) -> AsyncIterator[Database]:
    await asyncio.to_thread(migrate, servers.database_url, SCHEMA, MIGRATIONS)
    database = Database(servers.database_url)
    yield database
    await database.close()


async def read(database: Database, boxes: Sequence[int]) -> list[list[int]]:
    """Adds images with so many boxes each, and reads them; returns the numbers of boxes as they came in batches."""
    project = f"p-{uuid.uuid4().hex[:12]}"
    new_dataset = insert(DatasetRow).values(project=project, id="train", split="train").returning(DatasetRow.key)
    async with database.transaction() as session:
        await session.execute(insert(ProjectRow).values(id=project, display_name=project))
        dataset = await session.scalar(new_dataset)
        await session.execute(_ADD, {"dataset": dataset, "boxes": list(boxes)})
    wanted = select(ImageRow.annotations).where(ImageRow.dataset == dataset)
    async with one_moment(database) as session:
        batches = image_batches(session, wanted, (ImageRow.sequence,))
        return [[len(annotations) for (annotations,) in batch] async for batch in batches]


async def test_light_images_come_many_at_once(database: Database) -> None:
    boxes = [number % 3 for number in range(3000)]
    batches = await read(database, boxes)
    assert list(chain.from_iterable(batches)) == boxes
    assert all(len(batch) > 1000 for batch in batches[:-1])


async def test_heavy_images_come_a_few_at_once(database: Database) -> None:
    boxes = [0] * 10 + [9_000, 9_000, 9_000, 40_000, 9_000] + [1] * 10
    batches = await read(database, boxes)
    assert list(chain.from_iterable(batches)) == boxes
    # What is agreed on, and one image more.
    assert all(sum(batch[:-1]) <= 25_000 for batch in batches)
    assert len(batches) > 3


async def test_no_images_are_no_batch(database: Database) -> None:
    assert await read(database, []) == []
