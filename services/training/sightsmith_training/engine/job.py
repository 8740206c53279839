"""One training while it runs: what it was asked for, and where it works."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from obstore.store import ObjectStore, from_url

from sightsmith_training.engine.classification.search import BUDGET_SECONDS
from sightsmith_training.engine.rare_labels import LeftOut, leave_out_rare_labels, told_of_left_out
from sightsmith_training.engine.reading import ReadImages, read_images
from sightsmith_training.engine.specification import Effort, SpecEntry, Task, TrainingOptions, TrainingSpec
from sightsmith_training.engine.tasks import TaskDecision

_VERSIONED = ("numpy", "onnx", "onnxruntime", "pillow", "scikit-learn", "timm", "torch")

# By how much a budget may be exceeded without a word: nobody plans by seconds.
_BEARABLE_SECONDS, _BEARABLE_SHARE = 10.0, 0.05

_DETECTOR_SECONDS: Mapping[Effort, float] = {"fast": 120.0, "balanced": 345.0, "best": 1750.0}


@dataclass(frozen=True)
class Job:
    """A training in its place.

    Attributes:
        spec: what was asked for.
        decision: what is to be trained.
        threads: cores to use.
        folder: for files that are not needed afterwards.
        store: holds images, checkpoints and exported backbones.
        ends: on the clock of `time.monotonic`, when the budget is used up.
        left_out: what is not among the entries any more, because labels have too few images; it may grow.
    """

    spec: TrainingSpec
    decision: TaskDecision
    threads: int
    folder: Path
    store: ObjectStore
    ends: float
    left_out: list[LeftOut]

    @classmethod
    @contextmanager
    def begin(cls, spec: TrainingSpec, decision: TaskDecision, left_out: LeftOut | None = None) -> "Iterator[Job]":
        """Makes the place for a training, and clears it away afterwards."""
        spec.output_dir.mkdir(parents=True, exist_ok=True)
        ends = time.monotonic() + budget_seconds(spec.options, decision.task) - spec.spent_seconds
        threads = spec.threads or len(os.sched_getaffinity(0))
        try:
            with TemporaryDirectory(prefix=".training-", dir=spec.output_dir) as folder:
                yield cls(
                    spec,
                    decision,
                    threads,
                    Path(folder),
                    from_url(spec.object_store_url),
                    ends,
                    [left_out or LeftOut()],
                )
        finally:
            with suppress(OSError):  # It goes if nothing was made; what was made is wanted.
                spec.output_dir.rmdir()

    @property
    def limits(self) -> list[str]:
        """What the training has to do without, for people."""
        return told_of_left_out(self.left_out, self.spec.min_images_per_label)

    @property
    def left_out_labels(self) -> list[str]:
        """Labels with too few images, sorted."""
        return sorted(label for each in self.left_out for label in each.labels)

    @property
    def seconds_left(self) -> float:
        """Of the budget; below 0 when it is used up."""
        return self.ends - time.monotonic()

    @property
    def budget_exceeded(self) -> str:
        """Tells in plain words that the budget was exceeded; empty as long as it is not, or `fast` has none."""
        if self.spec.options.effort == "fast" and not self.spec.options.budget_seconds:
            return ""  # It does what it does; nobody has promised how long that takes.
        budget, over = budget_seconds(self.spec.options, self.decision.task), -self.seconds_left
        if over <= max(_BEARABLE_SECONDS, _BEARABLE_SHARE * budget):
            return ""
        spent = self.spec.spent_seconds
        before = f", {spent:.0f} s of them in attempts that broke off" if spent else ""
        return (
            f"The training took {budget + over:.0f} s where its budget is {budget:.0f} s{before}: what no training can "
            "do without takes longer on this machine, or it is busy with other things. Allow more time, or take a "
            "faster machine."
        )

    def without_rare_labels(self, entries: Sequence[SpecEntry]) -> list[SpecEntry]:
        """The entries, less those of labels that have fallen short, where it was wished that they be left out."""
        if not self.spec.options.leave_out_rare_labels:
            return list(entries)
        kept, left_out = leave_out_rare_labels(entries, self.decision, self.spec.min_images_per_label)
        self.left_out.append(left_out)
        return kept

    def read(
        self,
        entries: Sequence[SpecEntry],
        side: int,
        advance: Callable[[float], None],
        name: str = "pixels",
        *,
        with_opacity: bool = False,
    ) -> ReadImages:
        """Reads the images that are wanted into a file of that name; see `read_images`."""
        return read_images(
            self.store,
            entries,
            side,
            self.spec.image_limits,
            self.folder / f"{name}.npy",
            self.threads,
            self.spec.max_unusable_fraction,
            advance,
            with_opacity=with_opacity,
        )


def budget_seconds(options: TrainingOptions, task: Task) -> float:
    """Seconds that a training may take."""
    usual = _DETECTOR_SECONDS if task == "detection" else BUDGET_SECONDS
    return options.budget_seconds or usual[options.effort]


def library_versions() -> dict[str, str]:
    """Versions of the libraries that shape a result, by distribution name."""
    return {name: version(name) for name in _VERSIONED}
