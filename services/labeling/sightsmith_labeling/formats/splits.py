"""What an import says of the use of its images: by the names of its files and folders."""

import re
from collections.abc import Iterable

from sightsmith_labeling.datasets import Split

_SPLITS = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "trainval": Split.TRAIN,
    "test": Split.TEST,
    "testing": Split.TEST,
    "val": Split.TEST,
    "valid": Split.TEST,
    "validation": Split.TEST,
    "eval": Split.TEST,
}
_WORD = re.compile(r"[a-z]+")


def split_of(name: str) -> Split | None:
    """The split that a word names, whatever its case; None if it names none.

    There are two splits here: what is for validation is for testing.
    """
    return _SPLITS.get(name.lower())


def split_in(names: Iterable[str]) -> Split | None:
    """The split that the first of some names has as a word in it, as `instances_val2017` has; None if none has."""
    for name in names:
        for word in _WORD.findall(name.lower()):
            if word in _SPLITS:
                return _SPLITS[word]
    return None
