"""Where users may have result files written."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightsmith.output_places import OutputPlaces, store_at, url_of
from sightsmith.places import Place

PLACES = OutputPlaces(["s3://results/sight smith/", "file:///srv/results"], "s3://store/data")


@pytest.mark.parametrize(
    ("prefix", "url"),
    [
        ("runs", "s3://store/data/outputs/shop/runs/"),
        ("runs/mon day/", "s3://store/data/outputs/shop/runs/mon day/"),
        ("s3://store/data/outputs/shop/runs", "s3://store/data/outputs/shop/runs/"),
        ("s3://results/sight smith", "s3://results/sight smith/"),
        ("s3://results/sight smith/a/b/", "s3://results/sight smith/a/b/"),
        ("file:///srv/results/a%20b", "file:///srv/results/a b/"),
    ],
)
def test_allowed_roots_and_the_own_folder_of_a_project_are_open(prefix: str, url: str) -> None:
    assert str(PLACES.find("shop", prefix)) == url


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "/",
        "/etc",
        "..",
        "../bakery",
        "a/../../bakery",
        "a//b",
        "a\nb",
        "a" * 1025,
        "s3://results/other/",
        "s3://results/sight smith2",
        "s3://results/sight smith/../other",
        "s3://other/a",
        "s3://store/data/outputs/bakery",
        "s3://store/data/outputs/shop-2",
        "s3://store/data/models/shop/v1",
        "file:///srv/results/%2e%2e/secret",
        "file:///srv/results2",
        "file://host/srv/results/a",
        "https://results/a",
    ],
)
def test_every_other_place_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match=r"must|SIGHTSMITH_OUTPUT_ROOTS"):
        PLACES.find("shop", prefix)


@given(prefix=st.text(alphabet="ab./%2e ~\0\\:", max_size=12))
def test_no_path_leads_out_of_the_own_folder(prefix: str) -> None:
    places = OutputPlaces([], "file:///srv/objects")
    try:
        place = places.find("shop", prefix)
    except ValueError:
        return
    assert place.scheme == "file"
    assert Path("/", place.key).resolve().is_relative_to("/srv/objects/outputs/shop")


def test_a_link_leads_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "objects/outputs/shop").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (tmp_path / "objects/outputs/shop/link").symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match=r"^link/a/ leads out"):
        OutputPlaces([], (tmp_path / "objects").as_uri()).find("shop", "link/a")


@pytest.mark.parametrize("store_url", ["file:///srv/my%20objects", "s3://store/data"])
def test_where_the_own_folder_is_remains_untold(store_url: str) -> None:
    places = OutputPlaces([], store_url)
    with pytest.raises(ValueError, match=r"must have no '\.' or '\.\.' between its slashes: '\.\./bakery/'"):
        places.find("shop", "../bakery")
    problem = "cannot open /srv/my objects/outputs/shop/runs/a.json nor s3://store/data/outputs/shop/runs/a.json"
    told = places.as_users_say("shop", problem)
    assert "runs/a.json" in told
    assert str(Place.parse(f"{store_url}/outputs/shop")) not in told
    assert f"{Place.parse(store_url).key}/outputs" not in told


def test_files_come_to_stand_where_their_urls_say(tmp_path: Path) -> None:
    place = OutputPlaces([], (tmp_path / "ob jects").as_uri()).find("shop", "50 % of #1")
    store_at(place).put("file.json", b"{}")
    file = tmp_path / "ob jects/outputs/shop/50 % of #1/file.json"
    assert file.read_bytes() == b"{}"
    assert url_of(place, "file.json") == file.as_uri()
    assert url_of(Place("s3", "results", "a b/"), "file.json") == "s3://results/a b/file.json"


def test_roots_are_checked_at_the_start() -> None:
    with pytest.raises(ValueError, match="must look like"):
        OutputPlaces(["/srv/results"], "s3://store/data")
