"""Labels that have too few images, many more than others, or names that differ by a slip only."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping

from sightsmith_labeling.jobs.finding import Finding, Severity
from sightsmith_labeling.validation.quality_rules import QualityRules

_SEPARATORS = re.compile(r"[\s_\-]+")


def unbalanced_labels(image_counts: Mapping[str, int], rules: QualityRules) -> Iterator[Finding]:
    """Tells which labels have few images to learn from, or far fewer than the commonest.

    Args:
        image_counts: training images of each label.
        rules: the thresholds.
    """
    most = max(image_counts, key=lambda label: (image_counts[label], label), default="")
    for label, count in sorted(image_counts.items()):
        if count < rules.min_images_per_label:
            message = f"{label!r} has {_images(count)} to learn from; {rules.min_images_per_label} or more are advised"
            details: dict[str, object] = {"label": label, "images": count, "threshold": rules.min_images_per_label}
            yield Finding(Severity.WARNING, "WARNING_FEW_IMAGES_OF_LABEL", message, details=details)
        if count * rules.max_imbalance < image_counts[most]:
            message = (
                f"{label!r} has {_images(count)} to learn from and {most!r} {image_counts[most]}, "
                f"more than {rules.max_imbalance:g} times as many"
            )
            details = {"label": label, "images": count, "other_label": most, "other_images": image_counts[most]}
            yield Finding(Severity.WARNING, "WARNING_LABEL_IMBALANCE", message, details=details)


def labels_that_look_alike(image_counts: Mapping[str, int]) -> Iterator[Finding]:
    """Tells which labels differ by case, spaces, hyphens or the coding of their characters only."""
    by_skeleton: dict[str, list[str]] = defaultdict(list)
    for label in image_counts:
        by_skeleton[_skeleton(label)].append(label)
    for labels in by_skeleton.values():
        main, *others = sorted(labels, key=lambda label: (-image_counts[label], label))
        for label in others:
            message = (
                f"{label!r} ({_images(image_counts[label])}) looks like {main!r} ({_images(image_counts[main])}); "
                "if they mean the same, merge them"
            )
            details = {"label": label, "other_label": main}
            yield Finding(Severity.WARNING, "WARNING_SIMILAR_LABELS", message, details=details)


def _skeleton(label: str) -> str:
    return _SEPARATORS.sub(" ", unicodedata.normalize("NFKC", label).casefold()).strip()


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
