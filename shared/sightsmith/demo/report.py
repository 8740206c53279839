"""What one run of the demo found: the JSON report and the table printed at its end."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt
from rich.markup import escape
from rich.table import Table

from sightsmith.demo.atomic_file import write_atomically

Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]
Difference = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    # A NaN would turn into null in the JSON and hide a broken measurement.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Parity(_Part):
    """How far the exports are from the trained network, over the same images.

    `onnx`, `torchscript` and `triton` are the largest absolute differences of any score; `label_agreement` is the share
    of images on which all of them name the same label; `tolerance` is the difference that was allowed.
    """

    onnx: Difference
    torchscript: Difference
    triton: Difference
    label_agreement: Fraction
    images: NonNegativeInt
    tolerance: Difference


class LabelScore(_Part):
    """How one label did on the held-out images; `images` is how many of those truly bear it."""

    label: str
    precision: Fraction
    recall: Fraction
    f1: Fraction
    images: NonNegativeInt


class RejectedFile(_Part):
    """A file that labeling would not take, with the reason as a word for programs and a message for people."""

    file: str
    reason: str
    message: str


class PredictedFile(_Part):
    """What the served model said of one held-out image."""

    file: str
    true_label: str
    predicted_label: str
    confidence: Fraction


class DemoReport(_Part):
    """The whole result of one run, from the folder of photographs to the answers of the served model."""

    task: str
    labels: tuple[str, ...]
    train_images: NonNegativeInt
    test_images: NonNegativeInt
    accuracy: Fraction
    macro_f1: Fraction
    train_seconds: Seconds
    total_seconds: Seconds
    model: str
    snapshot: str
    backbones: tuple[str, ...]
    evaluated_on: str
    parity: Parity
    per_label: tuple[LabelScore, ...]
    rejected: tuple[RejectedFile, ...] = ()
    predictions: tuple[PredictedFile, ...] = ()

    def write(self, path: Path) -> None:
        """Writes the report as indented UTF-8 JSON, whole or not at all.

        Raises:
            OSError: the folder cannot be written.
        """
        write_atomically(path, (self.model_dump_json(indent=2) + "\n").encode())


def render_table(report: DemoReport) -> Table:
    """A table for the terminal: one row a label, and a last row with the unweighted means (macro averages)."""
    table = Table(title=f"{escape(report.model)}: {report.accuracy:.1%} of {report.test_images} held-out images right")
    table.add_column("label", overflow="fold")
    for heading in ("precision", "recall", "F1", "images"):
        table.add_column(heading, justify="right")
    for score in report.per_label:
        table.add_row(
            escape(score.label), f"{score.precision:.3f}", f"{score.recall:.3f}", f"{score.f1:.3f}", str(score.images)
        )
    table.add_section()
    table.add_row(
        "all labels (macro)",
        _mean(score.precision for score in report.per_label),
        _mean(score.recall for score in report.per_label),
        f"{report.macro_f1:.3f}",
        str(sum(score.images for score in report.per_label)),
        style="bold",
    )
    return table


def _mean(values: Iterable[float]) -> str:
    listed = list(values)
    return f"{sum(listed) / len(listed):.3f}" if listed else "–"
