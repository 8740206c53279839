"""Exports with a file for each split, though their images come in any order."""

import shutil
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.records import Sink


def write_by_split(
    entries: Iterable[tuple[Split, bytes]],
    names: Mapping[Split, str],
    sink: Sink,
    scratch: Path,
    *,
    before: bytes = b"",
    between: bytes = b"",
    after: bytes = b"",
) -> None:
    """Writes entries to the file of their split. A split without any has no file, except that one file is written.

    Args:
        entries: each with its split; only gone through once.
        names: of the files.
        sink: takes the files.
        scratch: a folder where the files lie until they are whole.
        before: what a file begins with.
        between: what is between two entries.
        after: what a file ends with.
    """
    paths = {split: scratch / f"{split.value}.part" for split in Split}
    with ExitStack() as stack:
        files = {split: stack.enter_context(path.open("wb")) for split, path in paths.items()}
        used: set[Split] = set()
        for split, entry in entries:
            files[split].write(between if split in used else before)
            files[split].write(entry)
            used.add(split)
    for split in [split for split in Split if split in used] or [Split.TRAIN]:
        with paths[split].open("rb") as written, sink.open(names[split]) as file:
            if split not in used:
                file.write(before)
            shutil.copyfileobj(written, file)
            file.write(after)
