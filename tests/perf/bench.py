"""The benchmark: `python -m tests.perf.bench --data-dir FOLDER [--only PART]`.

Writes `bench-report.json`, a flat map of named figures, into the current folder and prints it as a table. Figures are
reported and never asserted: the exit status is 0 unless something breaks or nothing could be measured.
"""

import argparse
import signal
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from sightsmith.demo.atomic_file import write_atomically
from tests.perf import (
    demo,
    detection,
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
from tests.perf.archives import LOGOS, PHOTOS, unpacked
from tests.perf.figures import Measured, as_json, as_table
from tests.perf.other_servers import comparison
from tests.perf.progress import PROGRESS

REPORT = Path("bench-report.json")


@dataclass(frozen=True)
class Part:
    """A part of the benchmark.

    Attributes:
        name: of the part.
        alone: measures what needs no images.
        on_images: measures what needs some, given the path of their archive.
        archive: file name of that archive.
        is_extra: whether it runs only where it is asked for, since it installs what nothing else needs.
    """

    name: str
    alone: Callable[[], Measured] | None = None
    on_images: Callable[[Path], Measured] | None = None
    archive: str = PHOTOS
    is_extra: bool = False


def _unpacking(measure: Callable[[Path], Measured]) -> Callable[[Path], Measured]:
    def unpack_and_measure(archive: Path) -> Measured:
        with unpacked(archive) as folder:
            return measure(folder)

    return unpack_and_measure


PARTS = (
    Part("stack", alone=stack_start.measure),
    Part("labeling", alone=labeling.measure_upload, on_images=_unpacking(labeling.measure_import)),
    Part("uploads", alone=uploads.measure),
    Part("lists", alone=listing.measure),
    Part("transfers", alone=transfers.measure),
    Part("similarity", on_images=_unpacking(similarity.measure)),
    Part("training", on_images=_unpacking(training.measure)),
    Part("detection", on_images=detection.measure, archive=LOGOS),
    Part("inference", on_images=_unpacking(inference.measure)),
    Part("servers", on_images=_unpacking(comparison.measure), is_extra=True),
    Part("demo", on_images=_unpacking(demo.measure)),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, reports, and returns the exit status."""
    wanted = _parse(arguments)
    # Whoever stops the benchmark stops its servers too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parts = [part for part in PARTS if wanted.only == part.name or not (wanted.only or part.is_extra)]
    the_machine = machine.measure()
    _tell_what_is_left_out(parts, wanted.data_dir)
    measured, broken = _measure_all(parts, wanted.data_dir)
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
    parser.add_argument("--data-dir", type=Path, required=True, help=f"the folder with {PHOTOS} and {LOGOS}")
    parser.add_argument("--only", choices=[part.name for part in PARTS], help="measure one part")
    return parser.parse_args(arguments)


def _measure_all(parts: Sequence[Part], data_dir: Path) -> tuple[dict[str, float], list[str]]:
    """What could be measured, and the names of the parts that broke: the others are worth having all the same."""
    measured: dict[str, float] = {}
    broken: list[str] = []
    for part in parts:
        archive = data_dir / part.archive
        measures = [part.alone] if part.alone else []
        if part.on_images and archive.is_file():
            measures.insert(0, partial(part.on_images, archive))
        if measures:
            PROGRESS.rule(part.name)
        try:
            for measure in measures:
                measured |= measure()
        except zipfile.BadZipFile as error:
            PROGRESS.print(f"[red]error:[/] {archive}: {error}", soft_wrap=True)
            broken.append(part.name)
        except Exception:
            PROGRESS.print_exception()
            broken.append(part.name)
    return measured, broken


def _tell_what_is_left_out(parts: Sequence[Part], data_dir: Path) -> None:
    for part in parts:
        if part.on_images and not (data_dir / part.archive).is_file():
            what = f"{part.name}, what needs images" if part.alone else part.name
            PROGRESS.print(
                f"[yellow]left out:[/] {what}. There is no {data_dir / part.archive}: say where {part.archive} lies "
                "with make bench DATA_DIR=FOLDER, or --data-dir FOLDER",
                soft_wrap=True,
            )


if __name__ == "__main__":
    sys.exit(main())
