"""Images on the command line, named by their ids or in full."""

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from sightsmith.errors import InvalidArgumentError
from sightsmith.names import DatasetName, ImageName

IMAGE_HELP = "by id or full name, as 'sightsmith images' lists it"
ImageArgument = Annotated[str, typer.Argument(help=f"The image, {IMAGE_HELP}.")]
ImagesArgument = Annotated[list[str], typer.Argument(help=f"The images, each {IMAGE_HELP}.")]
DatasetOption = Annotated[str, typer.Option(help="Id of the dataset that an image given by id is in.")]


def image_name(project: str, dataset: str, image: str) -> ImageName:
    """The name of an image.

    Args:
        project: id of the project.
        dataset: id of the dataset, for an image that is given by its id.
        image: its id or its full name.

    Raises:
        InvalidArgumentError: if it is neither, or of another project.
    """
    name = ImageName.parse(image if "/" in image else str(ImageName(project, dataset, image)), "image")
    if name.project != project:
        raise InvalidArgumentError.of_field("image", f"must be of the project {project}, not {image}")
    return name


def image_names(project: str, dataset: str, images: Iterable[str]) -> tuple[DatasetName, Sequence[str]]:
    """The names of images that are all in one dataset, and the name of that dataset.

    Raises:
        InvalidArgumentError: if one of them is no image of the project, or they are in several datasets.
    """
    names = [image_name(project, dataset, image) for image in images]
    datasets = {DatasetName(name.project, name.dataset) for name in names}
    if len(datasets) != 1:
        raise InvalidArgumentError.of_field("image", "must be images of one dataset")
    return datasets.pop(), list(map(str, names))
