"""How much of everything there may be."""

from dataclasses import dataclass
from typing import Self

from sightsmith.errors import ResourceExhaustedError
from sightsmith_labeling.settings import LabelingSettings


@dataclass(frozen=True)
class Quotas:
    """Upper limits; None stands for no limit.

    Attributes:
        label_length: characters of a label's name.
        labels_per_image: different labels of a whole image.
        boxes_per_image: boxes on an image.
        labels_per_project: labels that a project knows.
        images_per_dataset: images in a dataset.
        projects: projects on this server.
    """

    label_length: int = 255
    labels_per_image: int | None = None
    boxes_per_image: int | None = None
    labels_per_project: int | None = None
    images_per_dataset: int | None = None
    projects: int | None = None

    @classmethod
    def of(cls, settings: LabelingSettings) -> Self:
        """The quotas that the settings give."""
        return cls(
            label_length=settings.max_label_length,
            labels_per_image=settings.max_labels_per_image,
            boxes_per_image=settings.max_boxes_per_image,
            labels_per_project=settings.max_labels_per_project,
            images_per_dataset=settings.max_images_per_dataset,
            projects=settings.max_projects,
        )


def require_room(what: str, wanted: int, limit: int | None) -> None:
    """Makes sure that there may be as many of something as are wanted.

    Args:
        what: what is counted and of whom, as in `projects`.
        wanted: how many there would be.
        limit: how many there may be; None for any number.

    Raises:
        ResourceExhaustedError: with the reason QUOTA_EXCEEDED, if that is too many.
    """
    if limit is not None and wanted > limit:
        raise ResourceExhaustedError(
            f"{wanted} {what} would be more than the {limit} that the settings allow",
            reason="QUOTA_EXCEEDED",
            metadata={"limit": str(limit)},
        )
