"""The migrations make exactly the tables that the code believes in, and keep what an older version wrote."""

import shutil
from pathlib import Path

import psycopg

from sightsmith.database import Database, migrate
from sightsmith.names import DeploymentName
from sightsmith.settings import Settings
from sightsmith.stack import Endpoints
from sightsmith_inference.batches import tables as batch_tables
from sightsmith_inference.deployment import DeploymentState
from sightsmith_inference.deployments import Deployments
from sightsmith_inference.models import RECOMMENDED, Runtime
from sightsmith_inference.tables import MIGRATIONS, SCHEMA, Base
from tests.integration.labeling.conftest import make_database
from tests.integration.migrations import differences

# The first answers, the second is to answer with v2 and does with v1, the third failed to change, the fourth starts.
OLD_ROWS = """
INSERT INTO inference.models (name, task, labels, image_side, stage_time)
VALUES ('projects/shop/models/v1', 'classification', ARRAY['hen'], 8, now());
INSERT INTO inference.triton_models (name, model, runtime, max_batch_size)
VALUES ('shop.v1.onnx.0', 'projects/shop/models/v1', 'onnx', 8);
INSERT INTO inference.deployments
    (id, project, deployment_id, model, runtime, generation, state, serving_triton_model, create_time, update_time)
SELECT gen_random_uuid(), 'shop', id, 'projects/shop/models/' || model, 'recommended', 3, state, serving, now(), now()
FROM (VALUES
    ('first', 'v1', 'RUNNING', 'shop.v1.onnx.0'),
    ('second', 'v2', 'UPDATING', 'shop.v1.onnx.0'),
    ('third', 'v2', 'RUNNING', 'shop.v1.onnx.0'),
    ('fourth', 'v1', 'STARTING', NULL)
) AS old (id, model, state, serving);
"""


def test_migrations_and_tables_agree(server_settings: Settings) -> None:
    url = server_settings.database_url.get_secret_value()
    migrate(url, SCHEMA, MIGRATIONS)
    assert batch_tables.BatchJobRow.metadata is Base.metadata
    assert differences(url, Base.metadata) == []


async def test_what_served_before_there_were_releases_goes_on(servers: Endpoints, tmp_path: Path) -> None:
    url = make_database(servers)
    for file in MIGRATIONS.glob("000[1-6]*.py"):
        shutil.copy(file, tmp_path)
    migrate(url, SCHEMA, tmp_path)
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(OLD_ROWS)
    migrate(url, SCHEMA, MIGRATIONS)
    database = Database(url)
    found = {name: await Deployments(database).get(DeploymentName("shop", name)) for name in ("first", "second")}
    found |= {name: await Deployments(database).get(DeploymentName("shop", name)) for name in ("third", "fourth")}
    await database.close()
    assert {name: deployment.state for name, deployment in found.items()} == {
        "first": DeploymentState.RUNNING,
        "second": DeploymentState.UPDATING,
        "third": DeploymentState.RUNNING,
        "fourth": DeploymentState.STARTING,
    }
    wanted = {name: (found[name].wanted.live.model[-2:], found[name].wanted.live.runtime) for name in found}
    assert wanted == {name: (model, RECOMMENDED) for name, model in zip(found, ("v1", "v2", "v2", "v1"), strict=True)}
    for name in ("first", "second", "third"):
        serving = found[name].serving
        assert serving is not None
        assert [servable.triton_model for servable in serving.servables] == ["shop.v1.onnx.0"]
        assert serving.live.share == 1
    assert found["second"].serving is not None
    assert found["second"].serving.live.runtime == Runtime.ONNX
    assert found["fourth"].served is None
