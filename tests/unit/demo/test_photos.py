from collections import Counter
from pathlib import Path, PurePosixPath

import pytest

from sightsmith.demo import debian_package, photos
from sightsmith.demo.photos import CHOICES, MIN_IMAGES_PER_LABEL, DemoPhotosError, fetch_demo_photos, label_of, lay_out
from sightsmith.demo.qt_resources import ResourceError

from .rcc_writer import write_rcc


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("categorization/resource/images/fishes/fish12.webp", "fish"),
        ("categorization/resource/images/fishes/README", None),
        ("categorization/resource/images/renewable/windmill.webp", "windmill"),
        ("categorization/resource/images/renewable/windmill15.webp", "windmill"),
        ("categorization/resource/images/renewable/windmill6.webp", None),
        ("categorization/resource/images/renewable/dam1.webp", None),
        ("categorization/resource/images/numbers/07.svg", None),
        ("details/resource/image/Nagoya_background.webp", "castle"),
        ("details/resource/image/Nagoya_0.webp", None),
        ("erase/resource/giraffe.webp", "mammal"),
        ("explore_world_animals/resource/animals/giraffe.jpg", "mammal"),
        ("paintings/resource/image/MonaLisa_a1.webp", None),
    ],
)
def test_labels_follow_the_table(path: str, label: str | None) -> None:
    assert label_of(PurePosixPath(path)) == label


def test_no_photograph_has_two_labels() -> None:
    claims = Counter((choice.folder, name) for choice in CHOICES for name in choice.names)
    assert max(claims.values()) == 1
    whole_folders = {choice.folder for choice in CHOICES if "*" in choice.names}
    assert not [choice for choice in CHOICES if choice.folder in whole_folders and "*" not in choice.names]


def test_lays_out_the_chosen_photographs(tmp_path: Path) -> None:
    resources = tmp_path / "unpacked" / "usr" / "share"
    resources.mkdir(parents=True)
    prefix = "gcompris/src/activities"
    (resources / "erase.rcc").write_bytes(
        write_rcc(
            {
                f"{prefix}/erase/resource/giraffe.webp": b"wild giraffe",
                f"{prefix}/erase/resource/toucan.webp": b"toucan",
                f"{prefix}/erase/resource/crab.webp": b"not chosen",
                f"{prefix}/erase/resource/README": b"who took them",
                f"{prefix}/erase/Erase.qml": b"code",
            },
            deflated=[f"{prefix}/erase/resource/toucan.webp"],
        )
    )
    (resources / "explore_world_animals.rcc").write_bytes(
        write_rcc({f"{prefix}/explore_world_animals/resource/animals/giraffe.webp": b"giraffe"}, version=2)
    )
    (resources / "chess.rcc").write_bytes(b"an activity without photographs is not even opened")

    counts = lay_out(tmp_path / "unpacked", tmp_path / "photos", tmp_path / "credits")

    assert counts == {"mammal": 2, "bird": 1}
    laid_out = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.glob("photos/*/*")}
    assert laid_out == {
        "photos/bird/erase-toucan.webp": b"toucan",
        "photos/mammal/erase-giraffe.webp": b"wild giraffe",
        "photos/mammal/explore_world_animals-giraffe.webp": b"giraffe",
    }
    assert (tmp_path / "credits" / "erase-resource.txt").read_bytes() == b"who took them"


def test_a_damaged_resource_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "erase.rcc").write_bytes(b"qres")
    with pytest.raises(ResourceError, match=r"erase\.rcc: header"):
        lay_out(tmp_path, tmp_path / "photos", tmp_path / "credits")


def test_too_few_photographs_are_told_by_label() -> None:
    counts = Counter({choice.label: MIN_IMAGES_PER_LABEL for choice in CHOICES})
    photos._check(counts)
    counts["fish"] = 3
    with pytest.raises(ResourceError, match=r"too few photographs of: fish \(3\)"):
        photos._check(counts)


def test_without_apt_the_way_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DemoPhotosError, match=r"apt-get is not on this machine.*DATA=FOLDER.*--data FOLDER"):
        fetch_demo_photos(lambda _: None, tmp_path / "cache")
    assert not list((tmp_path / "cache" / "demo-photos").iterdir())


def test_only_a_whole_set_of_the_present_choices_is_taken_from_the_cache(tmp_path: Path) -> None:
    home = tmp_path / "demo-photos"
    digest = photos._choices_digest()
    (home / ".unfinished-x" / "made" / "photos").mkdir(parents=True)
    (home / "3.1-2-00000000" / "photos").mkdir(parents=True)
    assert photos._kept(home) is None
    (home / f"3.1-2-{digest}" / "photos").mkdir(parents=True)
    told: list[str] = []
    assert fetch_demo_photos(told.append, tmp_path) == home / f"3.1-2-{digest}" / "photos"
    assert told


def test_sources_name_package_version_and_copyright_file() -> None:
    text = photos._sources("3.1-2", Counter(fish=28))
    assert "gcompris-qt-data, version 3.1-2" in text
    assert "/usr/share/doc/gcompris-qt-data/copyright" in text
    assert "fish: 28" in text


def test_the_version_is_read_from_the_name_of_the_package_file(tmp_path: Path) -> None:
    (tmp_path / "some-data_1%3a3.1-2_all.deb").touch()
    assert debian_package._downloaded("some-data", tmp_path).version == "1-3.1-2"


def test_complaints_hide_passwords() -> None:
    output = "W: something\nE: Failed to fetch https://me:secret@mirror.example/pool  404\n"
    assert debian_package._complaint(output) == "E: Failed to fetch https://mirror.example/pool  404"
