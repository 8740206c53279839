"""What an import is asked to do, as it is kept in the job."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

IMPORT_JOBS = "importJobs"


class ExistingImages(StrEnum):
    """What is done with an image that the dataset has already."""

    MERGE = "MERGE"
    REPLACE = "REPLACE"
    KEEP = "KEEP"


class ImportRequest(BaseModel):
    """What an import is asked to do. Exactly one of the three sources is set.

    Attributes:
        dataset: name of the dataset that everything goes to; None to go by what the import says of each image.
        format: name of a format of the catalogue; None to recognise it.
        uploaded_file: name of an uploaded file.
        url: of a file, or of a folder if it ends in `/`.
        source_dataset: name of another dataset.
        image_prefix: URL below which the images are that the files name; None if the names say where they are.
        all_or_nothing: whether nothing stays of an import that does not succeed.
        max_rejected_fraction: share of the lines, 0 to 1, that may be rejected before the import fails.
    """

    model_config = ConfigDict(frozen=True)

    dataset: str | None = None
    format: str | None = None
    uploaded_file: str | None = None
    url: str | None = None
    source_dataset: str | None = None
    image_prefix: str | None = None
    existing_images: ExistingImages = ExistingImages.MERGE
    all_or_nothing: bool = False
    max_rejected_fraction: float
