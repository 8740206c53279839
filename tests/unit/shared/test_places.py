from pathlib import Path

import pytest

from sightsmith.errors import InvalidArgumentError
from sightsmith.places import AllowedPlaces, Place

SETTING = "SIGHTSMITH_IMPORT_SOURCES"
PLACES = AllowedPlaces(["s3://shop/images/", "s3://open"], SETTING)


@pytest.mark.parametrize(
    "url", ["s3://shop/images/1.jpg", "s3://shop/images/", "s3://open/anything at all?#%41.jpg", "s3://open/a/b/"]
)
def test_what_is_below_an_allowed_place_is_allowed(url: str) -> None:
    assert str(PLACES.check("url", url)) == url


@pytest.mark.parametrize(
    "url",
    [
        "s3://shop/images",
        "s3://shop/images2/1.jpg",
        "s3://shop/images/../secret.jpg",
        "s3://shop/images/./1.jpg",
        "s3://shopping/images/1.jpg",
        "s3:///images/1.jpg",
        "s3://shop@evil/images/1.jpg",
        "https://shop/images/1.jpg",
        "file:///etc/passwd",
        "file://shop/images/1.jpg",
        "images/1.jpg",
        "",
    ],
)
def test_everything_else_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        PLACES.check("import_job.url", url)
    assert [violation.field for violation in caught.value.violations] == ["import_job.url"]


def test_nothing_is_allowed_unless_the_operator_says_so() -> None:
    with pytest.raises(ValueError, match=SETTING):
        AllowedPlaces([], SETTING).find("s3://shop/1.jpg")
    with pytest.raises(ValueError, match="must look like"):
        AllowedPlaces(["/data"], SETTING)


def test_a_folder_is_left_by_no_link_and_no_code(tmp_path: Path) -> None:
    inside = tmp_path / "in side"
    inside.mkdir()
    (tmp_path / "secret.jpg").touch()
    (inside / "1.jpg").touch()
    (inside / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    places = AllowedPlaces([f"{inside.as_uri()}/"], SETTING)
    assert places.find(f"{inside.as_uri()}/1.jpg") == Place("file", "", str(inside / "1.jpg")[1:])
    for url in ("link.jpg", "..%2Fsecret.jpg", "%2e%2e/secret.jpg", "../secret.jpg"):
        with pytest.raises(ValueError, match=r"leads out|must have no"):
            places.find(f"{inside.as_uri()}/{url}")
