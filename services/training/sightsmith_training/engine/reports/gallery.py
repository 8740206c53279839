"""Every judged image, predicted beside labelled, the most confident mistakes first."""

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sightsmith_training.engine.judging.answers import LabelledImage
from sightsmith_training.engine.reports.image_outcomes import ImageOutcomes, Judged, Matches
from sightsmith_training.engine.reports.words import LOOKS, Look
from sightsmith_training.engine.specification import SpecEntry

Thumbnail = Callable[[SpecEntry], bytes]
"""Makes a small JPEG of the whole upright image."""


@dataclass(frozen=True)
class GalleryImage:
    """One image of the gallery.

    Attributes:
        image: as it was labelled.
        judged: what became of everything on it.
        thumbnail: a URL that holds a JPEG itself.
    """

    image: LabelledImage
    judged: list[Judged]
    thumbnail: str

    @property
    def name(self) -> str:
        """See `known_as`."""
        return known_as(self.image)

    @property
    def tags(self) -> str:
        """For the filters: the position of each label with its outcome, as in `0:TP 3:FP`."""
        return " ".join(f"{one.label}:{LOOKS[one.outcome].short}" for one in self.judged)

    @property
    def is_right(self) -> bool:
        """Whether there is no mistake on it."""
        return not any(one.is_mistake for one in self.judged)

    @property
    def shown(self) -> list[tuple[int, Judged, Look]]:
        """What became of everything, numbered from 1, with how that is shown."""
        return [(number, one, LOOKS[one.outcome]) for number, one in enumerate(self.judged, start=1)]


def known_as(image: LabelledImage) -> str:
    """What people know an image by: the last part of where it came from, or of its resource name."""
    return (image.source or image.image).rstrip("/").rpartition("/")[2]


def gallery_order(matches: Matches) -> list[int]:
    """The positions of the images as they are shown.

    Those with mistakes come first, the most confident wrong prediction leading; then the right ones, the least
    confident leading.
    """
    outcomes = ImageOutcomes(matches)
    return sorted(range(len(matches.images)), key=lambda position: _rank(outcomes.of(position)))


def gallery(
    matches: Matches, entries: Sequence[SpecEntry], positions: Sequence[int], thumbnail: Thumbnail
) -> Iterator[GalleryImage]:
    """Makes the images of the gallery, one after another.

    Args:
        matches: of the judged images.
        entries: of the snapshot; there is one for every image of the matches.
        positions: which images are shown, in this order.
        thumbnail: makes the pictures.
    """
    outcomes = ImageOutcomes(matches)
    by_name = {entry.image: entry for entry in entries}
    for position in positions:
        image = matches.images[position]
        jpeg = base64.b64encode(thumbnail(by_name[image.image])).decode()
        yield GalleryImage(image, outcomes.of(position), f"data:image/jpeg;base64,{jpeg}")


def _rank(judged: Sequence[Judged]) -> tuple[bool, float]:
    """Mistakes before what is right; then by confidence. What was missed is no confident mistake."""
    mistakes = [one for one in judged if one.is_mistake]
    if mistakes:
        return False, -max(0.0 if one.is_there else one.confidence for one in mistakes)
    return True, min((one.confidence for one in judged), default=1.0)
