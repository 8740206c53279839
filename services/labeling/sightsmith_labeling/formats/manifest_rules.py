"""What a manifest must keep to be trained with."""

from dataclasses import dataclass

from sightsmith_labeling.formats.records import ReadLimits

AWS_LIMITS = ReadLimits(
    lines=250_000,
    line_characters=100_000,
    labels_per_image=1000,
    boxes_per_image=50,
    label_characters=256,
    source_characters=1024,
)
"""What Custom Labels accepts; only `labels_per_image` is ours, where it has no limit."""


@dataclass(frozen=True)
class ManifestRules:
    """The rules of the Custom Labels developer guide, with its numbers as defaults. None stands for no limit.

    Attributes:
        limits: of a line and of an image.
        max_bytes: bytes of the file.
        min_side: smallest width and height of an image with boxes, in pixels.
        max_side: largest width and height, in pixels.
        box_tolerance: pixels by which a box may pass the edge of its image; it is cut there.
        min_box_side: pixels that both sides of a box must exceed, after the image was made smaller as training does.
        scaled_side: longest side of an image that is not made smaller, in pixels.
        relative_sources: whether a source may be the name of a file in the import and not only an `s3://` URL.
        native_multi_label: whether an attribute may be of Ground Truth's own multi-label type. Custom Labels wants one
            attribute for each label.
        one_bucket: whether several buckets are an error; Custom Labels reads from one. Here they are a warning.
        max_labels: labels of a manifest.
        min_classes: labels that a classification needs.
        min_box_labels: labels that object detection needs.
        max_invalid_share: of the lines that are not ignored.
        min_label_overlap: share of the training labels that the test images must have.
        min_images_to_split: training images that each label needs where test images are to be split off.
    """

    limits: ReadLimits = AWS_LIMITS
    max_bytes: int | None = 10**9
    min_side: int | None = 64
    max_side: int | None = 4096
    box_tolerance: float = 0.0
    min_box_side: float | None = 1.0
    scaled_side: int | None = 1280
    relative_sources: bool = False
    native_multi_label: bool = True
    one_bucket: bool = False
    max_labels: int | None = 250
    min_classes: int = 2
    min_box_labels: int = 1
    max_invalid_share: float = 0.2
    min_label_overlap: float = 0.5
    min_images_to_split: int = 2


def import_rules(limits: ReadLimits) -> ManifestRules:
    """What a manifest must keep to be imported: our own limits, and none that only matter for training."""
    return ManifestRules(
        limits=limits,
        max_bytes=None,
        min_side=None,
        max_side=None,
        box_tolerance=1.0,
        min_box_side=None,
        relative_sources=True,
    )
