"""Choosing test images: each label's share of images and boxes, and no copy of a training image among them.

After the iterative stratification of Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data"
(ECML PKDD 2011): labels take their turn from the rarest to the commonest, and what a turn decides stays decided. Here
chance is drawn for each image by itself, so that the order of the images does not matter and a new one changes little.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from sightsmith_labeling.splitting.auto_split import AutoSplit
from sightsmith_labeling.splitting.candidates import SplitImage, Unit, unit_of, units_of


def choose_test_images(
    images: Sequence[SplitImage], split: AutoSplit, tested: Sequence[SplitImage] = ()
) -> frozenset[str]:
    """Chooses the test images of a project.

    The choice depends on the images and the seed alone, not on their order. Each label gets its share of test images,
    and among them its share of images with one box, with a few, with many. A label with two images or more gets at
    least one test image, unless that image were the last one to learn another of its labels from: no label ever loses
    its last training image. Images that look the same stay on one side, unless a label had no test image then.

    It works for seconds on large projects: call it in a thread.

    Args:
        images: the labelled images to choose from, each SHA-256 once.
        split: how many, and the seed.
        tested: labelled images that are test images already, none of them among `images`. They count for their labels,
            and what looks like them joins them.

    Returns:
        The SHA-256 of each image that is set aside; none of `tested`.
    """
    choice = _Choice(images, split, tested)
    for label in choice.rarest_first():
        choice.serve(label)
    return frozenset(choice.aside)


class _Choice:
    """A choice in the making.

    Attributes:
        aside: SHA-256 of the images that are set aside.
    """

    def __init__(self, images: Sequence[SplitImage], split: AutoSplit, tested: Sequence[SplitImage]) -> None:
        self._split = split
        self._units: dict[str, list[Unit]] = defaultdict(list)
        self._totals: Counter[str] = Counter()
        self._to_learn_from: Counter[str] = Counter()
        # Images that a turn has decided on.
        self._settled: set[str] = set()
        self.aside: set[str] = set()
        in_test = {image.sha256 for image in tested}
        # The order of their draws is all the chance there is.
        drawn = sorted([*images, *tested], key=lambda image: _draw(image.sha256, split.seed))
        followers = [rest for unit in units_of(drawn) if (rest := self._add(unit, in_test))]
        for follower in followers:
            self._take(follower)

    def rarest_first(self) -> Sequence[str]:
        """The labels in the order of their turns."""
        return sorted(self._totals, key=lambda label: (self._totals[label], label))

    def serve(self, label: str) -> None:
        """Sets images aside until a label has its share. What is left of its images stays to learn from."""
        units = self._shuffled(label)
        wanted = _test_count(self._totals[label], self._split.test_fraction)
        for unit in units:
            missing = wanted - self._in_test(label)
            # A larger unit would leave the label further from its share than it is now.
            if unit.labels[label].images < 2 * missing and unit.images[0].sha256 not in self._settled:
                self._take(unit)
        if wanted and not self._in_test(label):
            self._serve_at_any_rate(label, units, wanted)
        self._settled.update(image.sha256 for unit in units for image in unit.images)

    def _serve_at_any_rate(self, label: str, units: Sequence[Unit], wanted: int) -> None:
        """Serves a label whose images were all decided on before, or stand in units that are too large."""
        for unit in sorted(units, key=lambda unit: unit.labels[label].images):
            if self._take(unit):
                return
        for image in (image for unit in units for image in unit.images):
            if label in dict(image.labels) and self._in_test(label) < wanted:
                self._take(unit_of([image]))

    def _add(self, unit: Unit, in_test: set[str]) -> Unit | None:
        """Takes a unit up; returns those of its images that look like a test image and are none."""
        self._totals.update({label: count.images for label, count in unit.labels.items()})
        rest = [image for image in unit.images if image.sha256 not in in_test]
        if not rest:
            return None
        to_choose = unit if len(rest) == len(unit.images) else unit_of(rest)
        for label, count in to_choose.labels.items():
            self._to_learn_from[label] += count.images
            self._units[label].append(to_choose)
        return to_choose if to_choose is not unit else None

    def _shuffled(self, label: str) -> Sequence[Unit]:
        """A label's units, in an order of which any beginning has its share of units with few boxes and with many."""
        strata: dict[int, list[Unit]] = defaultdict(list)
        for unit in self._units[label]:
            strata[unit.labels[label].boxes.bit_length()].append(unit)
        places = []
        for magnitude, units in strata.items():
            # Systematic sampling: evenly spaced, from a random beginning.
            begin = int.from_bytes(_draw(f"{label}:{magnitude}", self._split.seed)[:4]) / 2**32
            places += [((rank + begin) / len(units), magnitude, rank) for rank in range(len(units))]
        return [strata[magnitude][rank] for _, magnitude, rank in sorted(places)]

    def _in_test(self, label: str) -> int:
        return self._totals[label] - self._to_learn_from[label]

    def _take(self, unit: Unit) -> bool:
        """Sets a unit aside, unless a label would have nothing left to learn from."""
        is_last = any(self._to_learn_from[label] <= count.images for label, count in unit.labels.items())
        if is_last or any(image.sha256 in self.aside for image in unit.images):
            return False
        for label, count in unit.labels.items():
            self._to_learn_from[label] -= count.images
        self.aside.update(image.sha256 for image in unit.images)
        return True


def _test_count(count: int, fraction: float) -> int:
    """The share of a label's images, rounded to the nearest; at least one and never all, if there are two or more."""
    return min(max(math.floor(count * fraction + 0.5), 1), count - 1)


def _draw(name: str, seed: int) -> bytes:
    """A number drawn for an image, which does not depend on the other images."""
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()
