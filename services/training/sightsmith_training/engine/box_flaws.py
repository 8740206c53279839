"""Boxes that cannot be right."""

from collections.abc import Iterator, Sequence

from sightsmith_training.engine.contract import Violation
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.specification import SpecEntry


def box_flaws(entry: SpecEntry) -> Iterator[Violation]:
    """What is wrong with the boxes of an image."""
    for number, box in enumerate(entry.boxes):
        field = f"{entry.image}.boxes[{number}]"
        if box.width <= 0 or box.height <= 0:
            yield Violation(field=field, description=f"has no area: {box.width:g} × {box.height:g} pixels")
        elif not entry.width or not entry.height:
            yield Violation(field=field, description="is on an image whose size the snapshot does not tell")
        elif box.left >= entry.width or box.top >= entry.height:
            yield Violation(field=field, description=f"lies outside its image of {entry.width} × {entry.height} pixels")


def too_many_flawed(flawed: Sequence[Violation], images: int, limit: float) -> TrainingError:
    """What is said where more than that share of the images have such boxes; there is at least one."""
    first = flawed[0]
    return TrainingError(
        "TOO_MANY_UNUSABLE_IMAGES",
        f"more than {limit:.0%} of {images} images have boxes that cannot be used; the first: {first.field} "
        f"{first.description}",
        flawed,
        unusable=len(flawed),
        images=images,
        max_unusable_fraction=limit,
    )
