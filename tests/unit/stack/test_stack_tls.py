"""A stack speaks TLS wholly or not at all; a client needs the authority alone."""

from pathlib import Path

import pytest

from sightsmith.client import Connection
from sightsmith.stack import Stack, StackError, StackSettings


@pytest.mark.parametrize("given", [["tls_certificate_file", "tls_key_file"], ["tls_ca_file"]])
def test_a_stack_wants_all_files_or_none(tmp_path: Path, given: list[str]) -> None:
    stack = Stack(StackSettings(data_dir=tmp_path / "data", **dict.fromkeys(given, tmp_path / "file.pem")))
    with pytest.raises(StackError, match="SIGHTSMITH_TLS_KEY_FILE"):
        stack.start()
    assert not (tmp_path / "data").exists()


def test_a_client_elsewhere_needs_the_authority_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ("LABELING", "TRAINING", "INFERENCE"):
        monkeypatch.setenv(f"SIGHTSMITH_{service}_TARGET", f"{service.lower()}.example.com:443")
    monkeypatch.setenv("SIGHTSMITH_TOKEN", "token")
    monkeypatch.setenv("SIGHTSMITH_TLS_CA_FILE", "ca.pem")
    connection = Connection.find()
    assert connection.ca_file == Path("ca.pem")
    assert connection.training == "training.example.com:443"
