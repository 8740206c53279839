"""Setting test images aside, label by label, for a project that has none of its own."""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from sightsmith.errors import InvalidArgumentError

DEFAULT_TEST_FRACTION = 0.2
_MAX_TEST_FRACTION = 0.5


@dataclass(frozen=True)
class AutoSplit:
    """How test images are set aside.

    Attributes:
        test_fraction: share of each label's images, above 0 and at most 0.5.
        seed: decides which ones.
    """

    test_fraction: float = DEFAULT_TEST_FRACTION
    seed: int = 0

    def __post_init__(self) -> None:
        # Written so that NaN fails too.
        if not 0 < self.test_fraction <= _MAX_TEST_FRACTION:
            rule = f"must be above 0 and at most {_MAX_TEST_FRACTION}, not {self.test_fraction}"
            raise InvalidArgumentError.of_field("auto_split.test_fraction", rule)


def set_aside(labels_of: Mapping[str, tuple[str, ...]], split: AutoSplit) -> set[str]:
    """Chooses the test images.

    The choice depends on the images and the seed alone, not on their order. Labels take their turn from the rarest to
    the commonest, so that an image with several labels serves the rare one first, and an image once set aside counts
    for all its labels. A label with two images or more gets at least one test image, unless that image were the last
    one to learn another of its labels from: no label ever loses its last training image.

    Args:
        labels_of: the labels of each image, by its SHA-256.
        split: how many, and the seed.

    Returns:
        The SHA-256 of each image that is set aside.
    """
    images_of: dict[str, list[str]] = defaultdict(list)
    for sha256, labels in labels_of.items():
        for label in labels:
            images_of[label].append(sha256)
    to_learn_from = Counter({label: len(members) for label, members in images_of.items()})
    aside: set[str] = set()
    for label in sorted(images_of, key=lambda name: (len(images_of[name]), name)):
        members = images_of[label]
        missing = _test_count(len(members), split.test_fraction) - sum(sha256 in aside for sha256 in members)
        for sha256 in sorted(members, key=lambda member: _draw(member, split.seed)):
            if missing <= 0:
                break
            labels = labels_of[sha256]
            if sha256 not in aside and all(to_learn_from[other] > 1 for other in labels):
                aside.add(sha256)
                to_learn_from.subtract(labels)
                missing -= 1
    return aside


def _test_count(count: int, fraction: float) -> int:
    """The share of a label's images, rounded to the nearest; at least one and never all, if there are two or more."""
    return min(max(math.floor(count * fraction + 0.5), 1), count - 1)


def _draw(sha256: str, seed: int) -> bytes:
    """A number drawn for an image, which does not depend on the other images."""
    return hashlib.sha256(f"{seed}:{sha256}".encode()).digest()
