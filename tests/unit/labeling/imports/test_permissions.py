"""What is told of a bucket that gives nothing away: a server refuses every request as S3 does."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from obstore.store import LocalStore

from sightsmith.database import Database
from sightsmith.errors import FailedPreconditionError
from sightsmith.images import ImageLimits
from sightsmith.objects import Objects
from sightsmith.places import AllowedPlaces, Place, store_of
from sightsmith_labeling.formats.records import FormatError
from sightsmith_labeling.formats.tree_index import TreeLimits
from sightsmith_labeling.images import Problem
from sightsmith_labeling.imports.fetcher import Fetcher, FetchLimits
from sightsmith_labeling.imports.object_tree import ObjectTree, access_code
from sightsmith_labeling.imports.sources import download
from sightsmith_labeling.intake import Intake, IntakeLimits

CODE = "ERROR_INVALID_PERMISSIONS_MANIFEST_S3_BUCKET"


class _Refusing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Tests say enough."""


@pytest.fixture
def closed_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        store_of.cache_clear()
        yield Place("s3", "closed", "a/labels.manifest")
        store_of.cache_clear()
        server.shutdown()


def test_a_manifest_that_may_not_be_read_has_a_code(closed_bucket: Place, tmp_path: Path) -> None:
    with pytest.raises(FailedPreconditionError) as caught:
        download(closed_bucket, tmp_path / "file", 1000)
    assert caught.value.metadata["code"] == CODE


def test_a_bucket_that_may_not_be_listed_has_a_code(closed_bucket: Place) -> None:
    with pytest.raises(FormatError) as caught:
        ObjectTree(store_of("s3", closed_bucket.bucket), "a/", TreeLimits(), str(closed_bucket))
    assert caught.value.code == CODE


async def test_an_image_that_may_not_be_read_has_a_code(closed_bucket: Place, tmp_path: Path) -> None:
    intake = Intake(Objects(LocalStore(tmp_path)), IntakeLimits(ImageLimits(), thumbnail_side=64, processes=1))
    places = AllowedPlaces(["s3://closed/"], "SIGHTSMITH_IMPORT_SOURCES")
    fetcher = Fetcher(Database("postgresql+psycopg://nowhere/none"), intake, places, FetchLimits(1, 5.0, 1000))
    outcome = await fetcher._fetch("s3://closed/1.jpg", asyncio.Semaphore(1))
    assert isinstance(outcome, Problem)
    assert outcome.code == "ERROR_INVALID_PERMISSIONS_IMAGES_S3_BUCKET"


def test_other_trouble_has_another_code() -> None:
    assert access_code(FileNotFoundError("gone")) == "ERROR_MANIFEST_INACCESSIBLE_OR_UNSUPPORTED_FORMAT"
