"""From where on something about images and labels is worth telling."""

from dataclasses import dataclass
from typing import Self

from sightsmith_labeling.settings import LabelingSettings


@dataclass(frozen=True)
class QualityRules:
    """Thresholds of the quality checks. Brightness, contrast and sharpness are those of `signals.Signals`.

    Attributes:
        min_contrast: an image with less shows nothing.
        min_sharpness: an image with less is blurred.
        min_brightness: an image with less is too dark.
        max_brightness: an image with more is too bright.
        near_duplicate_bits: bits by which the hashes of images that look the same may differ, 0 to 8.
        near_duplicate_similarity: similarity that the embeddings of such images must have, where there are embeddings.
        min_box_share: share of the image's area below which a box is tiny.
        max_box_share: share of the image's area above which a box covers the image.
        same_box_overlap: intersection over union above which two boxes of a label are one drawn twice.
        min_images_per_label: training images below which a label can hardly be learnt.
        max_imbalance: how many times as many images the commonest label may have as another.
        max_judged_images: images among which wrong labels are looked for; a sample is drawn if there are more.
        max_suspect_labels: how many likely wrong labels are told, the likeliest first.
    """

    min_contrast: float = 4.0
    min_sharpness: float = 10.0
    min_brightness: float = 20.0
    max_brightness: float = 250.0
    near_duplicate_bits: int = 4
    near_duplicate_similarity: float = 0.85
    min_box_share: float = 0.0005
    max_box_share: float = 0.98
    same_box_overlap: float = 0.9
    min_images_per_label: int = 10
    max_imbalance: float = 20.0
    max_judged_images: int = 20_000
    max_suspect_labels: int = 1000

    @classmethod
    def of(cls, settings: LabelingSettings) -> Self:
        """The thresholds that the settings give."""
        return cls(**{name: getattr(settings, f"validation_{name}") for name in cls.__dataclass_fields__})
