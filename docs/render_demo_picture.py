"""Draws a demo's report as a picture of a terminal: `python -m docs.render_demo_picture REPORT_JSON OUT_SVG`.

The figures are those of the report, so the picture in the README shows a run that took place. It is text drawn by us:
no photograph is in it.
"""

import io
import re
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table

from sightsmith.demo.report import DemoReport, render_table

_COLUMNS = 88
_BAR_COLUMNS = 30
# Rich would have each viewer load a font from a server; the viewer's own monospaced font does as well.
_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def render_picture(report: DemoReport) -> str:
    """The SVG of a terminal that shows what the demo found."""
    console = Console(record=True, file=io.StringIO(), width=_COLUMNS, force_terminal=True, color_system="truecolor")
    console.print("[bold]$ make demo[/]\n")
    console.print(_steps(report))
    console.print()
    console.print(render_table(report))
    parity = report.parity
    console.print(
        f"\ntrained in {report.train_seconds:.0f} s, all in {report.total_seconds:.0f} s\n"
        f"greatest difference from the trained network: ONNX {parity.onnx:.1e}, "
        f"TorchScript {parity.torchscript:.1e},\nTriton {parity.triton:.1e}; "
        f"same label on {parity.label_agreement:.0%} of {parity.images} images",
        highlight=False,
    )
    return _FONT.sub("", console.export_svg(title="Sightsmith", unique_id="demo"))


def _steps(report: DemoReport) -> Table:
    """What the run did, each step at its end."""
    imported = report.train_images + report.test_images
    steps = (
        ("importing", f"{imported} images, {len(report.labels)} labels, {len(report.rejected)} rejected"),
        ("training", f"{timedelta(seconds=round(report.train_seconds))} for {report.train_images} images"),
        ("predicting", f"{len(report.predictions)} held-out images by Triton"),
    )
    table = Table.grid(padding=(0, 2))
    for name, note in steps:
        table.add_row(name, ProgressBar(total=1, completed=1, width=_BAR_COLUMNS), "100%", note)
    return table


def main(arguments: Sequence[str]) -> str | None:
    """Reads the report and writes the picture; returns what is wrong, if anything is."""
    if len(arguments) != 2:
        return "usage: python -m docs.render_demo_picture REPORT_JSON OUT_SVG"
    source, target = map(Path, arguments)
    try:
        report = DemoReport.model_validate_json(source.read_bytes())
        target.write_text(render_picture(report), encoding="utf-8")
    except (OSError, ValidationError) as error:
        return f"{source}: {error}" if isinstance(error, ValidationError) else str(error)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
