"""From the entries of a snapshot to the pictures of objects that scenes are composed of, and to what judges them."""

from collections.abc import Sequence
from dataclasses import replace

from sightsmith_training.engine.contract import Violation
from sightsmith_training.engine.detection_samples import DetectionSamples, select_detection_samples
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.specification import SpecBox, SpecEntry


def select_brand_samples(entries: Sequence[SpecEntry], max_unusable_fraction: float) -> DetectionSamples:
    """Takes the entries that are of use for a detector that learns from composed scenes.

    A training image with one label is a picture of that object, which fills it: it gets one box, around everything. One
    picture of a label is enough, because it is seen in many ways. Training images without a label are backgrounds.

    Args:
        entries: of the snapshot.
        max_unusable_fraction: share of the images that may have several labels or flawed boxes, 0 to 1.

    Raises:
        TrainingError: NOT_ENOUGH_DATA if a label of the test boxes has no picture; TOO_MANY_UNUSABLE_IMAGES if too many
            images cannot be used.
    """
    crowded = [_crowded(entry) for entry in entries if _shows_several(entry)]
    if len(crowded) > max_unusable_fraction * sum(bool(entry.labels) for entry in entries if entry.split == "train"):
        raise _too_many_crowded(crowded, max_unusable_fraction)
    usable = [_as_picture(entry) if _is_picture(entry) else entry for entry in entries if not _shows_several(entry)]
    samples = select_detection_samples(usable, max_unusable_fraction)
    require_pictures(samples)
    return replace(samples, flawed=[*crowded, *samples.flawed])


def require_pictures(samples: DetectionSamples) -> None:
    """Checks that every label can be learned and that there is something to judge by.

    Raises:
        TrainingError: NOT_ENOUGH_DATA if a label has no picture, or there is no test image with boxes.
    """
    missing = [label for label, count in zip(samples.labels, samples.images_by_label(), strict=True) if not count]
    if missing:
        raise _without_picture(missing)
    if not any(entry.boxes for entry in samples.entries[samples.training :]):
        raise TrainingError(
            "NOT_ENOUGH_DATA",
            "none of the test images with boxes can be used: a detector that learns from composed scenes is judged by "
            "nothing else",
            [Violation(field="snapshot", description="has no usable test image with boxes")],
        )


def _is_picture(entry: SpecEntry) -> bool:
    return entry.split == "train" and len(entry.labels) == 1


def _shows_several(entry: SpecEntry) -> bool:
    return entry.split == "train" and len(entry.labels) > 1


def _as_picture(entry: SpecEntry) -> SpecEntry:
    """Snapshots of old do not tell sizes; such a picture is taken for a square."""
    width, height = entry.width or 1, entry.height or 1
    box = SpecBox(label=entry.labels[0], left=0, top=0, width=width, height=height)
    return entry.model_copy(update={"boxes": [box], "width": width, "height": height})


def _crowded(entry: SpecEntry) -> Violation:
    description = f"carries {len(entry.labels)} labels, and a picture to compose scenes of shows one object"
    return Violation(field=entry.image, description=description)


def _too_many_crowded(crowded: Sequence[Violation], limit: float) -> TrainingError:
    first = crowded[0]
    return TrainingError(
        "TOO_MANY_UNUSABLE_IMAGES",
        f"more than {limit:.0%} of the pictures to compose scenes of cannot be used; the first: {first.field} "
        f"{first.description}",
        crowded,
        unusable=len(crowded),
        max_unusable_fraction=limit,
    )


def _without_picture(labels: Sequence[str]) -> TrainingError:
    names = ", ".join(f"'{label}'" for label in labels)
    return TrainingError(
        "NOT_ENOUGH_DATA",
        f"scenes are composed of the training images, but none of them is a picture of {names}; test images have boxes "
        "with these labels",
        [
            Violation(field=f"labels['{label}']", description="has boxes on test images and no training picture")
            for label in labels
        ],
    )
