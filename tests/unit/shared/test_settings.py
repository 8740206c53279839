"""Settings fail early and keep secrets."""

from pathlib import Path

import pytest

from sightsmith.settings import Settings


def test_the_token_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("secret\n")
    assert Settings(token_file=file).bearer_token == "secret"


def test_there_is_no_service_without_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGHTSMITH_TOKEN", raising=False)
    monkeypatch.delenv("SIGHTSMITH_TOKEN_FILE", raising=False)
    with pytest.raises(ValueError, match="SIGHTSMITH_TOKEN_FILE"):
        _ = Settings().bearer_token
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(ValueError, match="empty"):
        _ = Settings(token_file=empty).bearer_token


def test_a_key_needs_its_certificate() -> None:
    with pytest.raises(ValueError, match="set together"):
        Settings(tls_key_file=Path("key.pem"))


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTSMITH_TOKEN", "open sesame")
    monkeypatch.setenv("SIGHTSMITH_DATABASE_URL", "postgresql://user:open-sesame@host/db")
    assert "sesame" not in repr(Settings())


def test_servers_listen_on_loopback_unless_told_otherwise() -> None:
    settings = Settings()
    assert settings.listen.startswith("127.0.0.1:")
    assert settings.metrics_listen.startswith("127.0.0.1:")
