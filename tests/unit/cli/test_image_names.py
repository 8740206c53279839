import pytest

from sightsmith.cli.image_names import image_name, image_names
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import DatasetName, ImageName


def test_ids_and_full_names_mean_the_same() -> None:
    name = ImageName("shop", "test", "1f0c")
    assert image_name("shop", "test", "1f0c") == name
    assert image_name("shop", "train", str(name)) == name
    assert image_names("shop", "test", ["1f0c", str(name)]) == (DatasetName("shop", "test"), [str(name)] * 2)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("1.JPG", "must look like projects/{project}/datasets/{dataset}/images/{image}"),
        ("projects/shop/images/1", "must look like"),
        ("projects/other/datasets/train/images/1", "must be of the project shop"),
    ],
)
def test_what_is_no_image_of_the_project_is_refused(image: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        image_name("shop", "train", image)


def test_images_are_of_one_dataset() -> None:
    with pytest.raises(InvalidArgumentError, match="images of one dataset"):
        image_names("shop", "train", ["1", "projects/shop/datasets/test/images/1"])
