"""What an export is asked to do, as it is kept in the job."""

from pydantic import BaseModel, ConfigDict

EXPORT_JOBS = "exportJobs"


class ExportRequest(BaseModel):
    """What an export is asked to do.

    Attributes:
        format: name of a format of the catalogue.
        dataset: id of the dataset; None for the whole project.
        labelled_only: whether images without any annotation are left out.
        labels: only images that carry one of these; all if empty.
        with_images: whether the archive holds the images themselves.
    """

    model_config = ConfigDict(frozen=True)

    format: str
    dataset: str | None = None
    labelled_only: bool = False
    labels: tuple[str, ...] = ()
    with_images: bool = False


def export_key(project: str, job: str) -> str:
    """Key of an export's archive in the object store."""
    return f"exports/{project}/{job}.zip"
