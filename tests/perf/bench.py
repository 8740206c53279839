"""The benchmark: `python -m tests.perf.bench --data-dir FOLDER [--only PART]`.

Writes `bench-report.json`, a flat map of named figures, into the current folder and prints it as a table. Figures are
reported and never asserted: the exit status is 0 unless something breaks or nothing could be measured.
"""

import argparse
import signal
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sightsmith.demo.atomic_file import write_atomically
from tests.perf import (
    demo,
    inference,
    labeling,
    listing,
    machine,
    similarity,
    stack_start,
    training,
    transfers,
    uploads,
)
from tests.perf.figures import Measured, as_json, as_table
from tests.perf.photos import ARCHIVE, unpacked_photos
from tests.perf.progress import PROGRESS

REPORT = Path("bench-report.json")


@dataclass(frozen=True)
class Part:
    """A part of the benchmark.

    Attributes:
        name: of the part.
        without_photos: measures what needs no photographs.
        with_photos: measures what needs them, given their folder.
    """

    name: str
    without_photos: Callable[[], Measured] | None = None
    with_photos: Callable[[Path], Measured] | None = None


PARTS = (
    Part("stack", without_photos=stack_start.measure),
    Part("labeling", without_photos=labeling.measure_upload, with_photos=labeling.measure_import),
    Part("uploads", without_photos=uploads.measure),
    Part("lists", without_photos=listing.measure),
    Part("transfers", without_photos=transfers.measure),
    Part("similarity", with_photos=similarity.measure),
    Part("training", with_photos=training.measure),
    Part("inference", with_photos=inference.measure),
    Part("demo", with_photos=demo.measure),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, reports, and returns the exit status."""
    wanted = _parse(arguments)
    # Whoever stops the benchmark stops its servers too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parts = [part for part in PARTS if wanted.only in (None, part.name)]
    the_machine = machine.measure()
    try:
        with unpacked_photos(wanted.data_dir) as photos:
            if photos is None:
                _tell_what_is_left_out(parts, wanted.data_dir)
            measured, broken = _measure_all(parts, photos)
    except zipfile.BadZipFile as error:
        PROGRESS.print(f"[red]error:[/] {wanted.data_dir / ARCHIVE}: {error}", soft_wrap=True)
        return 1
    if not measured:
        PROGRESS.print("nothing was measured")
        return 1
    figures = the_machine | measured
    write_atomically(REPORT, as_json(figures))
    Console().print(as_table(figures))
    PROGRESS.print(f"written: {REPORT}" + (f"; broken: {', '.join(broken)}" if broken else ""))
    return 1 if broken else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.perf.bench", description="Measure speed and quality.")
    parser.add_argument("--data-dir", type=Path, required=True, help=f"the folder with {ARCHIVE}")
    parser.add_argument("--only", choices=[part.name for part in PARTS], help="measure one part")
    return parser.parse_args(arguments)


def _measure_all(parts: Sequence[Part], photos: Path | None) -> tuple[dict[str, float], list[str]]:
    """What could be measured, and the names of the parts that broke: the others are worth having all the same."""
    measured: dict[str, float] = {}
    broken: list[str] = []
    for part in parts:
        if photos is None and part.without_photos is None:
            continue
        PROGRESS.rule(part.name)
        try:
            for figures in _measure(part, photos):
                measured |= figures
        except Exception:
            PROGRESS.print_exception()
            broken.append(part.name)
    return measured, broken


def _measure(part: Part, photos: Path | None) -> Iterator[Measured]:
    if part.with_photos and photos:
        yield part.with_photos(photos)
    if part.without_photos:
        yield part.without_photos()


def _tell_what_is_left_out(parts: Sequence[Part], data_dir: Path) -> None:
    left_out = [
        f"{part.name}, what needs photographs" if part.without_photos else part.name
        for part in parts
        if part.with_photos
    ]
    if left_out:
        PROGRESS.print(
            f"[yellow]left out:[/] {'; '.join(left_out)}. There is no {data_dir / ARCHIVE}: say where {ARCHIVE} lies "
            "with make bench DATA_DIR=FOLDER, or --data-dir FOLDER",
            soft_wrap=True,
        )


if __name__ == "__main__":
    sys.exit(main())
