"""What becomes of the files of a project that is deleted."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from sightsmith.api.labeling.v1 import annotation_format_pb2 as formats
from sightsmith.api.labeling.v1.labeling_service_pb2 import DeleteProjectRequest
from sightsmith.database import Database
from sightsmith.errors import UnavailableError
from sightsmith.objects import Objects, open_object_store
from sightsmith.stack import Endpoints
from sightsmith_labeling.jobs.tables import DiscardedFileRow
from sightsmith_labeling.jobs.upkeep import DiscardedFiles

from .labeling_client import LabelingClient
from .transfer_client import TransferClient, manifest, manifest_line
from .validation_client import ValidationClient

pytestmark = pytest.mark.usefixtures("worker")


@pytest.fixture
async def database(servers: Endpoints) -> AsyncIterator[Database]:
    database = Database(servers.database_url)
    yield database
    await database.close()


@pytest.fixture
def store(servers: Endpoints) -> Path:
    return Path(servers.object_store_url.removeprefix("file://"))


def files_of(store: Path, project: str) -> set[str]:
    """The keys of a project's own files."""
    id_ = project.removeprefix("projects/")
    found = (path for path in store.glob(f"*/{id_}/**/*") if path.is_file())
    return {str(path.relative_to(store)) for path in found}


async def fill(client: LabelingClient) -> str:
    """Makes a project that has files of every kind."""
    project = await client.new_project()
    transfers = TransferClient(client)
    data = manifest([manifest_line("s3://shop/1.jpg", "cat"), manifest_line("s3://shop/2.jpg", "dog")])
    await transfers.import_bytes(project, "labels.manifest", data)
    await transfers.export(project, formats.ANNOTATION_FORMAT_CSV)
    await ValidationClient(client).validate(project)
    return project


async def sweep_all(database: Database, objects: Objects) -> None:
    while await DiscardedFiles(database, objects, delay_seconds=0).sweep():
        pass


async def test_the_files_of_a_project_go_with_it(client: LabelingClient, database: Database, store: Path) -> None:
    project, other = await fill(client), await fill(client)
    there, others = files_of(store, project), files_of(store, other)
    assert {key.partition("/")[0] for key in there} == {"uploads", "exports", "validations"}
    await client.stub.DeleteProject(DeleteProjectRequest(name=project, force=True), metadata=client.metadata)
    objects = Objects(open_object_store(store.as_uri()))
    # Whoever is still writing one has some time to stop.
    await DiscardedFiles(database, objects, delay_seconds=3600).sweep()
    assert files_of(store, project) == there
    # The store fails in the middle: nothing is forgotten.
    blocked = store / sorted(there)[0]
    content = blocked.read_bytes()
    blocked.unlink()
    (blocked / "folder").mkdir(parents=True)
    with pytest.raises(UnavailableError):
        await sweep_all(database, objects)
    async with database.transaction() as session:
        assert set(await session.scalars(select(DiscardedFileRow.key))) >= there
    (blocked / "folder").rmdir()
    blocked.rmdir()
    blocked.write_bytes(content)
    await sweep_all(database, objects)
    assert files_of(store, project) == set()
    assert files_of(store, other) == others
    async with database.transaction() as session:
        assert not (await session.scalars(select(DiscardedFileRow.key))).all()
