"""Models that an older version made are there after an upgrade."""

import shutil
from pathlib import Path

import psycopg

from sightsmith.database import Database, migrate
from sightsmith.names import ModelName
from sightsmith.stack import Endpoints
from sightsmith_training.models import Models
from sightsmith_training.tables import MIGRATIONS, SCHEMA
from tests.integration.labeling.conftest import make_database

OLD_ROW = """
INSERT INTO training.models (
  id, project, number, training_job, snapshot, labels, image_side, seed, candidates, library_versions, artifacts,
  parity, evaluation, training_seconds, create_time
) VALUES (
  gen_random_uuid(), 'shop', 1, 'projects/shop/trainingJobs/j-1', 'projects/shop/snapshots/1', '{cat,dog}', 240, 7,
  '[]', '{"torch": "2.14.1"}', '[]',
  '{"onnx": 0, "torchscript": 0, "label_agreement": 1, "images": 4, "tolerance": 0.0001}',
  '{"evaluated_on": "test", "accuracy": 1, "macro_precision": 1, "macro_recall": 1, "macro_f1": 1, "per_label": [],
    "confusion_matrix": []}', 12.5, '2026-01-02 03:04:05+00'
);
INSERT INTO training.evaluated_images
SELECT id, 0, 'projects/shop/datasets/test/images/i-1', 'one.jpg', 'cat', 'cat', 1, '{1,0}' FROM training.models;
"""


async def test_models_of_old_are_there_as_they_were(servers: Endpoints, tmp_path: Path) -> None:
    url = make_database(servers)
    for path in sorted(MIGRATIONS.glob("000[123]_*.py")):
        shutil.copy(path, tmp_path)
    migrate(url, SCHEMA, tmp_path)
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(OLD_ROW)
    migrate(url, SCHEMA, MIGRATIONS)
    database = Database(url)
    model = await Models(database).get(ModelName("shop", "v1"))
    await database.close()
    assert (model.description, model.tags, model.copied_from, model.etag) == ("", {}, "", '"1"')
    assert model.update_time == model.create_time
