"""Which folders hold annotations: those are imported by a job, others are labelled by the names of their folders."""

import os
import zipfile
from pathlib import Path

import pytest

from sightsmith.client.labelled_folder import FolderError
from sightsmith.client.packing import holds_annotations, pack


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["cat/1.jpg", "dog/1.jpg", "README.txt"], False),
        (["train/cat/1.jpg", "test/cat/2.jpg"], False),
        (["1.jpg", "1.txt", "classes.txt"], True),
        (["obj.data", "obj.names", "obj_train_data/1.jpg"], True),
        (["train.txt", "train/cat/1.jpg"], True),
        (["val.txt"], True),
        (["labels.csv", "1.jpg"], True),
        (["Annotations/1.xml", "JPEGImages/1.jpg"], True),
    ],
)
def test_folders_with_files_of_annotations_are_known(tmp_path: Path, files: list[str], expected: bool) -> None:
    for name in files:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert holds_annotations(tmp_path) is expected


def test_files_from_before_there_were_zip_archives_are_packed(tmp_path: Path) -> None:
    file = tmp_path / "pictures" / "1.jpg"
    file.parent.mkdir()
    file.write_bytes(b"picture")
    os.utime(file, (0, 0))
    assert pack(tmp_path / "pictures", None, tmp_path / "packed.zip") == 1
    with zipfile.ZipFile(tmp_path / "packed.zip") as packed:
        assert packed.read("1.jpg") == b"picture"


def test_annotations_of_an_archive_go_along_with_images(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "1.jpg").write_bytes(b"picture")
    with zipfile.ZipFile(tmp_path / "export.zip", "w", zipfile.ZIP_DEFLATED) as export:
        export.writestr("annotations/train.json", "{}")
    assert pack(tmp_path / "export.zip", tmp_path / "pictures", tmp_path / "packed.zip") == 2
    with zipfile.ZipFile(tmp_path / "packed.zip") as packed:
        assert packed.read("annotations/train.json") == b"{}"
        assert packed.read("images/1.jpg") == b"picture"


def test_other_archives_are_to_be_unpacked_first(tmp_path: Path) -> None:
    (tmp_path / "broken.zip").write_bytes(b"PK")
    with pytest.raises(FolderError, match="unpack it"):
        pack(tmp_path / "broken.zip", tmp_path, tmp_path / "packed.zip")
