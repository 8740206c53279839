"""Images that are named and not sent: only what the operator allows is read."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from grpc import aio

from sightsmith.errors import SightsmithError, UnavailableError
from sightsmith.objects import Objects, open_object_store
from sightsmith_inference.references import FoundImage, ImageReference, References
from sightsmith_inference.settings import InferenceSettings


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """Two projects' folders, one for all, and one for nobody."""
    for name in ("shop", "other", "shared", "secret"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a photo.jpg").write_bytes(name.encode())
    (tmp_path / "shared" / "link.jpg").symlink_to(tmp_path / "secret" / "a photo.jpg")
    (tmp_path / "shared" / "large.jpg").write_bytes(b"x" * 101)
    (tmp_path / "shared" / "empty.jpg").write_bytes(b"")
    return tmp_path


@pytest.fixture
async def references(places: Path) -> AsyncIterator[References]:
    """With nobody where labeling should be."""
    channel = aio.insecure_channel("127.0.0.1:1")
    sources = (f"{places.as_uri()}/{{project}}/", f"{places.as_uri()}/shared")
    settings = InferenceSettings(prediction_sources=sources)
    objects = Objects(open_object_store(places.as_uri()))
    yield References(objects, channel, settings.prediction_places_of, max_image_bytes=100)
    await channel.close()


async def _find(references: References, url: str) -> FoundImage | SightsmithError:
    (found,) = await references.find("shop", [(ImageReference(url=url), "reference")])
    return found


@pytest.mark.parametrize("folder", ["shop", "shared"])
async def test_allowed_places(references: References, places: Path, folder: str) -> None:
    found = await _find(references, f"{places.as_uri()}/{folder}/a%20photo.jpg")
    assert isinstance(found, FoundImage)
    assert found.size == len(folder)
    assert await found.read() == folder.encode()


async def test_an_image_without_bytes(references: References, places: Path) -> None:
    found = await _find(references, f"{places.as_uri()}/shared/empty.jpg")
    assert isinstance(found, FoundImage)
    assert await found.read() == b""


@pytest.mark.parametrize(
    ("path", "reason", "said"),
    [
        ("other/a%20photo.jpg", "INVALID_FIELD", "SIGHTSMITH_PREDICTION_SOURCES"),
        ("secret/a%20photo.jpg", "INVALID_FIELD", "SIGHTSMITH_PREDICTION_SOURCES"),
        ("shop/../other/a%20photo.jpg", "INVALID_FIELD", "'..'"),
        ("shop/%2e%2e/other/a%20photo.jpg", "INVALID_FIELD", "'..'"),
        ("{project}/a%20photo.jpg", "INVALID_FIELD", "SIGHTSMITH_PREDICTION_SOURCES"),
        ("shared/link.jpg", "INVALID_FIELD", "leads out"),
        ("shared/", "INVALID_FIELD", "must name a file"),
        ("shared", "NOT_FOUND", "does not exist"),
        ("shared/nothing.jpg", "NOT_FOUND", "does not exist"),
        ("shared/large.jpg", "IMAGE_TOO_LARGE", "101 bytes, more than the 100"),
        ("shared/" + 3000 * "x", "INVALID_FIELD", "at most 2048 characters"),
    ],
)
async def test_what_is_not_read(references: References, places: Path, path: str, reason: str, said: str) -> None:
    found = await _find(references, f"{places.as_uri()}/{path}")
    assert isinstance(found, SightsmithError)
    assert found.reason == reason
    assert said in found.message


@pytest.mark.parametrize("url", ["", "https://example.com/a.jpg", "/etc/passwd", "s3://bucket/a.jpg"])
async def test_what_is_no_place(references: References, url: str) -> None:
    found = await _find(references, url)
    assert isinstance(found, SightsmithError)
    assert [violation.field for violation in found.violations] == ["reference.url"]


async def test_what_is_no_digest(references: References) -> None:
    (found,) = await references.find("shop", [(ImageReference(sha256="../admin-token"), "references[3]")])
    assert isinstance(found, SightsmithError)
    assert [violation.field for violation in found.violations] == ["references[3].sha256"]


async def test_nobody_can_say_whose_it_is(references: References) -> None:
    with pytest.raises(UnavailableError, match="labeling"):
        await references.find("shop", [(ImageReference(sha256="0" * 64), "reference")])


def test_a_place_that_is_none() -> None:
    with pytest.raises(ValueError, match="must look like"):
        InferenceSettings(prediction_sources=("ftp://host/",))


def test_room_for_every_message() -> None:
    with pytest.raises(ValueError, match="at least twice max_message_bytes"):
        InferenceSettings(max_message_bytes=2**20, max_bytes_in_flight=2**21 - 1)
