"""What the services are told, and what is kept from everybody else."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightsmith.settings import Settings
from sightsmith.stack import SERVICES, Stack, StackSettings
from sightsmith.stack.composition import compose, embedded_parts
from sightsmith.stack.data_folder import DataFolder
from sightsmith.stack.ports import choose_ports

ELSEWHERE = {
    "database_url": "postgresql+psycopg://user:hidden-1@db.example/sightsmith",
    "nats_url": "nats://user:hidden-2@events.example:4222",
    "nats_token": "hidden-3",
    "triton_target": "triton.example:8001",
    "object_store_url": "s3://images/sightsmith",
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DataFolder]:
    folder = DataFolder(tmp_path)
    folder.create()
    yield folder
    shutil.rmtree(folder.run, ignore_errors=True)


def service_settings(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings()


def test_servers_elsewhere_are_passed_on_and_not_started(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = StackSettings.model_validate({"data_dir": folder.path, "free_ports": True, **ELSEWHERE})
    parts = embedded_parts(settings, ["postgres", "nats", "triton", "labeling"])
    assert parts == {"labeling"}
    composition = compose(folder, settings, parts, SERVICES, choose_ports(settings, parts))
    assert composition.servers == ()
    [labeling] = composition.services
    told = service_settings(dict(labeling.environment), monkeypatch)
    assert told.database_url.get_secret_value() == ELSEWHERE["database_url"]
    assert told.nats_url == ELSEWHERE["nats_url"]
    assert told.nats_token is not None
    assert told.nats_token.get_secret_value() == "hidden-3"
    assert told.triton_target == ELSEWHERE["triton_target"]
    assert told.object_store_url == ELSEWHERE["object_store_url"]

    composition.endpoints.write(folder.endpoints)
    assert "hidden" not in folder.endpoints.read_text()
    assert "hidden" not in repr(composition)


def test_services_are_told_of_each_other_and_of_the_token(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = StackSettings.model_validate({"data_dir": folder.path, "free_ports": True})
    parts = {"labeling", "training", "worker", "inference"}
    ports = choose_ports(settings, parts)
    composition = compose(folder, settings, parts, SERVICES, ports)
    inference = next(program for program in composition.services if program.name == "inference")
    told = service_settings(dict(inference.environment), monkeypatch)
    assert told.listen == f"127.0.0.1:{ports['inference_port']}" == composition.endpoints.inference
    assert told.labeling_target == composition.endpoints.labeling
    assert told.bearer_token == folder.admin_token.read_text().strip()
    worker = next(program for program in composition.services if program.name == "worker")
    assert "SIGHTSMITH_LISTEN" not in worker.environment
    assert set(composition.endpoints.metrics) == parts


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no gatway"):
        Stack(StackSettings(data_dir=tmp_path), parts=["gatway"])
