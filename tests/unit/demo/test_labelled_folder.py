import os
from pathlib import Path

import pytest

from sightsmith.client.labelled_folder import FolderError, LabelledFolder, read_image_folder, read_labelled_folder


def fill(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(file.encode())


def pairs(folder: LabelledFolder, part: str = "train") -> list[tuple[str, str]]:
    return [(file.source, file.label) for file in getattr(folder, part)]


def test_labels_are_the_folders(tmp_path: Path) -> None:
    fill(tmp_path, "dog/b.JPG", "dog/a.png", "cat/deep/er/c.webp", "cat/d.tiff")
    folder = read_labelled_folder(tmp_path)
    assert pairs(folder) == [
        ("cat/d.tiff", "cat"),
        ("cat/deep/er/c.webp", "cat"),
        ("dog/a.png", "dog"),
        ("dog/b.JPG", "dog"),
    ]
    assert folder.labels == ("cat", "dog")
    assert (folder.test, folder.unlabelled, folder.ignored) == ((), (), ())
    assert all(file.path.read_bytes() == file.source.encode() for file in folder.train)


@pytest.mark.parametrize(
    ("train", "test"), [("train", "test"), ("Train", "TEST"), ("training", "val"), ("train", "Valid")]
)
def test_parts_are_recognised_whatever_their_case(tmp_path: Path, train: str, test: str) -> None:
    fill(tmp_path, f"{train}/cat/a.jpg", f"{train}/dog/b.jpg", f"{test}/cat/c.jpg")
    folder = read_labelled_folder(tmp_path)
    assert pairs(folder) == [(f"{train}/cat/a.jpg", "cat"), (f"{train}/dog/b.jpg", "dog")]
    assert pairs(folder, "test") == [(f"{test}/cat/c.jpg", "cat")]


def test_validation_is_no_test_part_where_there_is_a_test_part(tmp_path: Path) -> None:
    fill(tmp_path, "train/cat/a.jpg", "train/dog/b.jpg", "test/cat/c.jpg", "val/cat/d.jpg", "train/e.jpg", "f.jpg")
    folder = read_labelled_folder(tmp_path)
    assert pairs(folder, "test") == [("test/cat/c.jpg", "cat")]
    assert folder.ignored == ("val/cat/d.jpg",)
    assert [file.source for file in folder.unlabelled] == ["f.jpg", "train/e.jpg"]


@pytest.mark.parametrize("other", ["car", "test"])
def test_train_may_be_a_label(tmp_path: Path, other: str) -> None:
    fill(tmp_path, "train/steam.jpg", "train/electric/b.jpg", f"{other}/c.jpg")
    assert pairs(read_labelled_folder(tmp_path)) == sorted(
        [("train/electric/b.jpg", "train"), ("train/steam.jpg", "train"), (f"{other}/c.jpg", other)]
    )


def test_other_files_are_told_and_litter_is_not(tmp_path: Path) -> None:
    fill(tmp_path, "cat/a.jpg", "dog/b.jpg", "stray.jpg", "notes.txt", "cat/clip.mp4")
    fill(tmp_path, ".DS_Store", "cat/.DS_Store", "dog/Thumbs.db", "__MACOSX/cat/a.jpg", "cat/._a.jpg", ".git/x.jpg")
    folder = read_labelled_folder(tmp_path)
    assert pairs(folder) == [("cat/a.jpg", "cat"), ("dog/b.jpg", "dog")]
    assert [(file.source, file.path) for file in folder.unlabelled] == [("stray.jpg", tmp_path / "stray.jpg")]
    assert folder.ignored == ("cat/clip.mp4", "notes.txt")


def test_links_are_followed_only_inside(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    fill(root, "cat/a.jpg", "dog/b.jpg")
    fill(outside, "secret.jpg")
    (root / "dog" / "same.jpg").symlink_to(root / "cat" / "a.jpg")
    (root / "dog" / "secret.jpg").symlink_to(outside / "secret.jpg")
    (root / "dog" / "gone.jpg").symlink_to("nowhere.jpg")
    (root / "dog" / "loop").symlink_to(root / "dog")
    (root / "dog" / "self").symlink_to("self")
    (root / "elsewhere").symlink_to(outside)
    folder = read_labelled_folder(root)
    assert pairs(folder) == [("cat/a.jpg", "cat"), ("dog/b.jpg", "dog"), ("dog/same.jpg", "dog")]
    assert folder.ignored == ("dog/gone.jpg", "dog/loop", "dog/secret.jpg", "dog/self", "elsewhere")


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    fill(tmp_path / "real", "cat/a.jpg", "dog/b.jpg")
    (tmp_path / "link").symlink_to("real")
    assert len(read_labelled_folder(tmp_path / "link").train) == 2


def test_odd_names_open_and_have_sources_of_their_own(tmp_path: Path) -> None:
    fill(tmp_path, "ein Hund/große Töle.jpg", "日本/猫 🐈.png")
    for odd in (b"\xff.jpg", b"\xfe.jpg"):
        (tmp_path / "日本" / os.fsdecode(odd)).write_bytes(odd)
    folder = read_labelled_folder(tmp_path)
    assert [file.source for file in folder.train] == [
        "ein Hund/große Töle.jpg",
        "日本/\\xfe.jpg",
        "日本/\\xff.jpg",
        "日本/猫 🐈.png",
    ]
    assert all(file.source.encode() and file.path.read_bytes() for file in folder.train)


def test_one_label_however_its_accents_are_composed(tmp_path: Path) -> None:
    fill(tmp_path, "train/caf\u00e9/a.jpg", "train/bar/b.jpg", "test/cafe\u0301/c.jpg")
    folder = read_labelled_folder(tmp_path)
    assert folder.labels == ("bar", "caf\u00e9")
    assert folder.test[0].label == "caf\u00e9"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "found no images; expected FOLDER/<label>/<image>"),
        (
            ["a.jpg", "b.jpg", "notes.txt"],
            r"found no labelled images but 2 outside any label's folder \(1 other files\)",
        ),
        (["cat/a.jpg", "cat/b.jpg"], "found 2 images of the one label 'cat'"),
        (["train/cat/notes.txt", "test/cat/a.jpg"], "its training part holds no labelled images"),
    ],
)
def test_folders_that_cannot_be_used_say_why(tmp_path: Path, files: list[str], message: str) -> None:
    fill(tmp_path, *files)
    with pytest.raises(FolderError, match=message):
        read_labelled_folder(tmp_path)


def test_images_need_no_labels(tmp_path: Path) -> None:
    fill(tmp_path, "b.jpg", "a.jpg", "notes.txt")
    folder = read_image_folder(tmp_path)
    assert [file.source for file in folder.unlabelled] == ["a.jpg", "b.jpg"]
    assert (folder.train, folder.test, folder.ignored) == ((), (), ("notes.txt",))
    fill(tmp_path, "cat/c.jpg")
    folder = read_image_folder(tmp_path)
    assert [file.label for file in folder.train] == ["cat"]
    assert len(folder.unlabelled) == 2


def test_what_is_no_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="there is no such folder"):
        read_labelled_folder(tmp_path / "missing")
    fill(tmp_path, "file.jpg")
    with pytest.raises(FolderError, match="is a file, not a folder"):
        read_labelled_folder(tmp_path / "file.jpg")
