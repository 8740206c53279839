"""Evaluations that an older version made are there after an upgrade."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select

from sightsmith.database import Database, migrate
from sightsmith.names import EvaluationName, ModelName
from sightsmith.paging import PageRequest
from sightsmith.stack import Endpoints
from sightsmith_training.engine.judging.matches import Outcome
from sightsmith_training.evaluations.listing import EVERY_IMAGE, FindingFilter
from sightsmith_training.evaluations.service import Evaluations
from sightsmith_training.models import Models
from sightsmith_training.tables import MIGRATIONS, SCHEMA, EvaluatedImageRow
from tests.integration.labeling.conftest import make_database

NAME = ModelName("shop", "v1")
OWN = EvaluationName("shop", "v1")
OLD_ROWS = """
INSERT INTO training.models (
  id, project, number, training_job, snapshot, labels, task, image_side, seed, candidates, library_versions, artifacts,
  parity, evaluation, training_seconds, create_time, update_time
) VALUES (
  gen_random_uuid(), 'shop', 1, 'projects/shop/trainingJobs/j-1', 'projects/shop/snapshots/1', '{cat,dog}',
  'classification', 240, 7, '[]', '{"torch": "2.14.1"}', '[]',
  '{"onnx": 0, "torchscript": 0, "label_agreement": 1, "images": 4, "tolerance": 0.0001}',
  '{"evaluated_on": "test", "accuracy": 0.5, "macro_precision": 1, "macro_recall": 1, "macro_f1": 0.4, "per_label": [],
    "confusion_matrix": []}', 12.5, '2026-01-02 03:04:05+00', '2026-01-02 03:04:05+00'
);
INSERT INTO training.evaluated_images (
  model_id, rank, image, source, true_labels, predicted_labels, confidence, scores
) SELECT id, rank, image, image, truth, said, confidence, scores FROM training.models, (VALUES
  (0, 'i-0', '{dog}'::text[], '{cat}'::text[], 0.9, '{0.9,0.1}'::float8[]),
  (1, 'i-1', '{cat}', '{dog}', 0.7, '{0.3,0.7}'),
  (2, 'i-2', '{dog}', '{dog}', 0.8, '{0.2,0.8}'),
  (3, 'i-3', '{cat}', '{cat}', 0.6, '{0.6,0.4}')
) AS images (rank, image, truth, said, confidence, scores);
"""


@pytest.fixture
async def database(servers: Endpoints, tmp_path: Path) -> AsyncIterator[Database]:
    """A database with rows of old, after its upgrade."""
    url = make_database(servers)
    for path in sorted(MIGRATIONS.glob("000[1-6]_*.py")):
        shutil.copy(path, tmp_path)
    migrate(url, SCHEMA, tmp_path)
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(OLD_ROWS)
    migrate(url, SCHEMA, MIGRATIONS)
    database = Database(url)
    yield database
    await database.close()


async def test_images_of_old_are_found_by_what_became_of_them(database: Database) -> None:
    assert (await Models(database).get(NAME)).evaluation.macro_f1 == 0.4
    evaluations = Evaluations(database)

    async def images(wanted: FindingFilter) -> list[str]:
        page, _ = await evaluations.images(OWN, PageRequest(10, None), wanted)
        return [judged.answer.image for judged in page]

    assert await images(EVERY_IMAGE) == ["i-0", "i-1", "i-2", "i-3"]
    assert await images(FindingFilter("cat", Outcome.FALSE_POSITIVE)) == ["i-0"]
    assert await images(FindingFilter("cat", Outcome.FALSE_NEGATIVE)) == ["i-1"]
    assert await images(FindingFilter(outcome=Outcome.TRUE_POSITIVE)) == ["i-2", "i-3"]


async def test_ranks_of_old_are_those_of_new(database: Database) -> None:
    page, _ = await Evaluations(database).images(OWN, PageRequest(10, None))
    async with database.transaction() as session:
        rows = await session.execute(select(EvaluatedImageRow.image, EvaluatedImageRow.rank))
        ranks = {row.image: row.rank for row in rows}
    assert ranks == {judged.answer.image: pytest.approx(judged.rank) for judged in page}
