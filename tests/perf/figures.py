"""The figures that the benchmark reports: what each is called, its unit, and what it should reach."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from rich.table import Table


class Better(StrEnum):
    """Which way a figure gets better; the value stands before a target."""

    HIGHER = "≥"
    LOWER = "≤"


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        name: `part.what`, its key in the report.
        unit: of its values; a share is 0 to 1.
        better: which way it gets better; None for a figure that only describes the run.
        target: what it should reach; None where nothing is agreed.
    """

    name: str
    unit: str
    better: Better | None = None
    target: float | None = None

    def reaches_target(self, value: float) -> bool:
        """Whether a value is as good as the target, if there is one."""
        if self.target is None:
            return True
        return value >= self.target if self.better is Better.HIGHER else value <= self.target


Measured = Mapping[str, float]
"""Values by the name of their figure."""

_MAX_DIFFERENCE = 1e-4

FIGURES = (
    Figure("machine.cores", "cores"),
    Figure("machine.load_average", "processes"),
    Figure("machine.reference_ms", "ms", Better.LOWER),
    Figure("stack.start_seconds", "s", Better.LOWER),
    Figure("stack.restart_seconds", "s", Better.LOWER),
    Figure("labeling.import_images_per_second", "images/s", Better.HIGHER),
    Figure("labeling.upload_2k_seconds", "s", Better.LOWER),
    Figure("labeling.upload_10k_seconds", "s", Better.LOWER, 30),
    Figure("labeling.manifest_import_100k_seconds", "s", Better.LOWER, 20),
    Figure("labeling.manifest_export_100k_seconds", "s", Better.LOWER, 10),
    Figure("labeling.coco_import_100k_seconds", "s", Better.LOWER, 20),
    Figure("labeling.import_peak_mib", "MiB", Better.LOWER, 300),
    Figure("labeling.list_250k_p50_ms", "ms", Better.LOWER),
    Figure("labeling.list_250k_p95_ms", "ms", Better.LOWER, 50),
    Figure("labeling.rename_label_ms", "ms", Better.LOWER),
    Figure("labeling.merge_images_per_second", "images/s", Better.HIGHER),
    Figure("labeling.similar_100k_p50_ms", "ms", Better.LOWER),
    Figure("labeling.similar_100k_p95_ms", "ms", Better.LOWER, 50),
    Figure("labeling.similar_100k_recall", "share", Better.HIGHER, 0.95),
    Figure("training.photos_train_images", "images"),
    Figure("training.photos_test_images", "images"),
    Figure("training.photos_accuracy", "share", Better.HIGHER, 0.92),
    Figure("training.photos_macro_f1", "share", Better.HIGHER, 0.83),
    Figure("training.photos_job_seconds", "s", Better.LOWER, 60),
    Figure("training.photos_job_cold_seconds", "s", Better.LOWER),
    Figure("training.photos_fast_seconds", "s", Better.LOWER, 10),
    Figure("training.photos_fast_cpu_seconds", "s", Better.LOWER),
    Figure("training.photos_fast_macro_f1", "share", Better.HIGHER, 0.83),
    Figure("training.photos_balanced_seconds", "s", Better.LOWER, 300),
    Figure("training.photos_balanced_macro_f1", "share", Better.HIGHER, 0.86),
    Figure("training.logos_balanced_seconds", "s", Better.LOWER, 360),
    Figure("training.logos_balanced_map50", "share", Better.HIGHER, 0.98),
    Figure("training.logos_balanced_map50_95", "share", Better.HIGHER, 0.8),
    Figure("training.photos_parity_onnx", "score", Better.LOWER, _MAX_DIFFERENCE),
    Figure("training.photos_parity_torchscript", "score", Better.LOWER, _MAX_DIFFERENCE),
    Figure("training.photos_parity_triton", "score", Better.LOWER, _MAX_DIFFERENCE),
    Figure("training.photos_label_agreement", "share", Better.HIGHER, 1),
    Figure("inference.ceiling_images_per_second", "images/s", Better.HIGHER),
    Figure("inference.batch_vs_ceiling", "ratio", Better.HIGHER, 0.9),
    Figure("inference.stream_vs_ceiling", "ratio", Better.HIGHER, 0.9),
    Figure("inference.predict8_vs_ceiling", "ratio", Better.HIGHER, 0.75),
    Figure("inference.predict_p50_ms", "ms", Better.LOWER),
    Figure("inference.predict_added_p50_ms", "ms", Better.LOWER, 3),
    Figure("inference.p99_vs_p50_at_70", "ratio", Better.LOWER, 3),
    Figure("inference.int8_vs_fp32", "ratio", Better.HIGHER, 1.6),
    Figure("servers.sightsmith_vs_ceiling", "ratio", Better.HIGHER),
    Figure("servers.litserve_vs_ceiling", "ratio"),
    Figure("servers.bentoml_vs_ceiling", "ratio"),
    Figure("servers.mlserver_vs_ceiling", "ratio"),
    Figure("demo.total_seconds", "s", Better.LOWER, 180),
)
_ORDER = {figure.name: place for place, figure in enumerate(FIGURES)}


def as_json(measured: Measured) -> bytes:
    """The report: one flat object, in the order of `FIGURES`, with six significant digits.

    Raises:
        KeyError: if a value belongs to no figure.
        ValueError: if a value is not a finite number.
    """
    rounded = {name: float(f"{measured[name]:.6g}") for name in sorted(measured, key=_ORDER.__getitem__)}
    return (json.dumps(rounded, indent=2, allow_nan=False) + "\n").encode()


def as_table(measured: Measured) -> Table:
    """What was measured beside its targets; a figure that misses its target is marked."""
    table = Table(title="bench", title_justify="left")
    table.add_column("figure", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("unit")
    table.add_column("target", justify="right", no_wrap=True)
    for figure in FIGURES:
        if figure.name in measured:
            value = measured[figure.name]
            missed = "" if figure.reaches_target(value) else " missed"
            target = "" if figure.target is None else f"{figure.better} {figure.target:g}{missed}"
            table.add_row(figure.name, f"{value:.4g}", figure.unit, target, style="red" if missed else None)
    return table
