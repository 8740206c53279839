"""How the images of an import are found by the names that annotation files have for them."""

import pytest

from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.image_files import ImageFiles
from tests.unit.labeling.formats.trees import MemoryTree


def find(name: str, *paths: str, beside: str = "", split: Split | None = None) -> str | None:
    return ImageFiles(MemoryTree(dict.fromkeys(paths, b""))).find(name, beside, split)


@pytest.mark.parametrize(
    "name",
    [
        "1.jpg",
        "shelf/1.jpg",
        "photos/shelf/1.jpg",
        "/home/ann/photos/shelf/1.jpg",
        "C:\\photos\\shelf\\1.jpg",
        "./shelf/1.jpg",
        "gs://bucket/shelf/1.jpg",
        "gs://bucket/1.jpg",
        "https://example.org/photos/shelf/1.jpg",
    ],
)
@pytest.mark.parametrize(
    "paths",
    [
        ("labels.csv", "shelf/1.jpg"),
        ("labels.csv", "images/shelf/1.jpg"),
        ("set/labels.csv", "set/images/shelf/1.jpg", "set/images/other/2.jpg"),
    ],
)
def test_a_name_and_a_path_agree_as_far_back_as_both_go(name: str, paths: tuple[str, ...]) -> None:
    assert find(name, *paths) == paths[1]


@pytest.mark.parametrize("name", ["other/1.jpg", "s3://bucket/other/1.jpg", "2.jpg", "", "/", "s3://bucket"])
def test_what_does_not_agree_is_not_found(name: str) -> None:
    assert find(name, "labels.csv", "images/shelf/1.jpg") is None


def test_a_folder_of_the_machine_that_wrote_the_file_need_not_be_there() -> None:
    assert find("train2017/1.jpg", "instances.json", "images/1.jpg") == "images/1.jpg"
    # Of other folders nobody knows whether they mean something.
    assert find("cat/1.jpg", "labels.csv", "dog/1.jpg") is None


def test_of_several_images_the_closest_one_is_meant_or_none() -> None:
    paths = ("train/a.csv", "train/1.jpg", "test/a.csv", "test/1.jpg")
    assert find("1.jpg", *paths, beside="test/a.csv") == "test/1.jpg"
    assert find("1.jpg", *paths, split=Split.TRAIN) == "train/1.jpg"
    assert find("1.jpg", *paths) is None
