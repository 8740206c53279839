"""The process: it can be killed, started twice, run on S3, and is configured safely."""

import importlib
import os
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from google.protobuf import json_format
from grpc import StatusCode
from obstore.store import S3Store
from sqlalchemy import CheckConstraint, create_engine, inspect

import sightsmith_labeling
from sightsmith.api.labeling.v1 import labeling_service_pb2 as pb
from sightsmith.api.labeling.v1 import snapshot_service_pb2 as snapshot_pb
from sightsmith.api.labeling.v1.snapshot_pb2 import SnapshotEntry
from sightsmith.objects import Objects
from sightsmith.stack import Endpoints
from sightsmith_labeling.tables import SCHEMA, Base
from tests.integration.conftest import TOKEN
from tests.seaweedfs import s3_server

from .labeling_client import CREATED, UNCHANGED, Failure, LabelingClient, Sample, upload_requests
from .labeling_process import LabelingProcess
from .sample_images import jpeg

MakeProcess = Callable[[Mapping[str, str]], LabelingProcess]


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """An S3 server with an empty bucket."""
    with s3_server(tmp_path) as settings:
        yield settings


async def test_what_was_answered_survives_a_kill(make_process: MakeProcess) -> None:
    process = make_process({})
    process.start()
    samples = [Sample(f"{seed}.jpg", jpeg(seed)) for seed in range(1000)]
    client = LabelingClient(process.target, TOKEN)
    async with client.channel:
        dataset = await client.new_dataset()
        answered: list[pb.UploadImagesResponse] = []
        call = client.stub.UploadImages(upload_requests(dataset, samples), metadata=client.metadata)
        with suppress(grpc.RpcError):
            async for answer in call:
                answered.append(answer)
                if len(answered) == 100:
                    process.kill()
    assert 100 <= len(answered) < 1000
    process.start()
    client = LabelingClient(process.target, TOKEN)
    async with client.channel:
        for answer in answered[::10]:
            assert await client.download(answer.image.name) == samples[answer.index].data
        again = await client.upload(dataset, samples)
        assert {again[answer.index].outcome for answer in answered} == {UNCHANGED}
        assert {again[answer.index].image.name for answer in answered} == {answer.image.name for answer in answered}
        assert {answer.outcome for answer in again} == {CREATED, UNCHANGED}
        assert (await client.dataset(dataset)).image_count == 1000
    assert process.stop() == 0


def test_two_processes_migrate_at_once(make_process: MakeProcess, empty_database: str) -> None:
    both = [make_process({"SIGHTSMITH_DATABASE_URL": empty_database}) for _ in range(2)]
    for process in both:
        process.begin()
    for process in both:
        process.wait_until_serving()
    assert _differences(empty_database) == []
    assert [process.stop() for process in both] == [0, 0]


def test_the_migrated_database_is_what_the_tables_say(servers: Endpoints, labeling: LabelingProcess) -> None:
    assert _differences(servers.database_url) == []
    engine = create_engine(servers.database_url)
    inspector = inspect(engine)
    for table in Base.metadata.tables.values():
        # Alembic does not compare these.
        checks = {check["name"] for check in inspector.get_check_constraints(table.name, SCHEMA)}
        assert checks == {check.name for check in table.constraints if isinstance(check, CheckConstraint)}
        assert inspector.get_pk_constraint(table.name, SCHEMA)["name"] == f"pk_{table.name}"
    engine.dispose()


async def test_s3_keeps_images_and_manifests(make_process: MakeProcess, s3: Mapping[str, str]) -> None:
    process = make_process(s3)
    process.start()
    client = LabelingClient(process.target, TOKEN)
    async with client.channel:
        dataset = await client.new_dataset()
        samples = [Sample(f"{seed}.jpg", jpeg(seed)) for seed in range(20)]
        answers = await client.upload(dataset, samples)
        assert [answer.outcome for answer in answers] == [CREATED] * 20
        assert [await client.download(answer.image.name) for answer in answers] == [sample.data for sample in samples]
        project = dataset.partition("/datasets/")[0]
        request = snapshot_pb.CreateSnapshotRequest(parent=project)
        snapshot = await client.snapshots.CreateSnapshot(request, metadata=client.metadata)
        entries = await _manifest(s3, snapshot.manifest_key)
        assert sorted(entry.image for entry in entries) == sorted(answer.image.name for answer in answers)
    assert process.stop() == 0


async def test_a_store_that_fails_is_unavailable(make_process: MakeProcess, tmp_path: Path) -> None:
    process = make_process({"SIGHTSMITH_OBJECT_STORE_URL": tmp_path.as_uri()})
    process.start()
    (tmp_path / "images").write_text("in the way of the folder of this name")
    client = LabelingClient(process.target, TOKEN)
    async with client.channel:
        dataset = await client.new_dataset()
        with Failure(StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE") as failure:
            await client.upload(dataset, [Sample("a.jpg", jpeg(1))])
        assert failure.error.metadata == {"service": "object store"}
        assert (await client.dataset(dataset)).image_count == 0
    assert process.stop() == 0


def test_the_process_needs_a_token(environment: Mapping[str, str]) -> None:
    without = {key: value for key, value in environment.items() if key != "SIGHTSMITH_TOKEN"}
    ended = subprocess.run(
        [sys.executable, "-m", "sightsmith_labeling"],
        env={**os.environ, **without},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode != 0
    assert "set SIGHTSMITH_TOKEN_FILE" in ended.stderr


async def _manifest(s3: Mapping[str, str], key: str) -> list[SnapshotEntry]:
    store = S3Store.from_url(
        s3["SIGHTSMITH_OBJECT_STORE_URL"],
        endpoint=s3["AWS_ENDPOINT_URL"],
        access_key_id=s3["AWS_ACCESS_KEY_ID"],
        secret_access_key=s3["AWS_SECRET_ACCESS_KEY"],
        client_options={"allow_http": True},
    )
    manifest = await Objects(store).get(key)
    return [json_format.Parse(line, SnapshotEntry()) for line in manifest.splitlines()]


def _import_every_table() -> None:
    """The tables of a capability are known once its module is imported."""
    for module in pkgutil.walk_packages(sightsmith_labeling.__path__, "sightsmith_labeling."):
        if module.name.endswith(".tables"):
            importlib.import_module(module.name)


def _differences(url: str) -> list[object]:
    """What Alembic would change in labeling's schema."""
    _import_every_table()

    def is_ours(name: str | None, kind: str, _parents: object) -> bool:
        return name == SCHEMA if kind == "schema" else name != "alembic_version"

    engine = create_engine(url)
    with engine.connect() as connection:
        options = {"include_schemas": True, "include_name": is_ours, "compare_server_default": True}
        found: list[object] = compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)
    engine.dispose()
    return found
