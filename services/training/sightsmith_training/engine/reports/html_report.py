"""A page that tells people how good a model is and why: one file, without a server, scripts of others or a network."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sightsmith_training.engine.judging.classification_metrics import LabelFigures
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.engine.judging.detection_metrics import DetectedLabelFigures
from sightsmith_training.engine.judging.intervals import LabelIntervals
from sightsmith_training.engine.judging.rankings import Ranking
from sightsmith_training.engine.reports.gallery import Thumbnail, gallery, gallery_order, known_as
from sightsmith_training.engine.reports.headline_figures import (
    Figures,
    figures_of,
    headline_figures,
    reliability_of,
)
from sightsmith_training.engine.reports.heatmap import heatmap
from sightsmith_training.engine.reports.image_outcomes import Matches
from sightsmith_training.engine.reports.pictures import (
    candidates_picture,
    learning_picture,
    precision_recall_picture,
    reliability_picture,
    threshold_picture,
)
from sightsmith_training.engine.reports.report import Report
from sightsmith_training.engine.reports.words import LOOKS, percent

MOST_THUMBNAILS = 300
"""Images that a page shows where nothing else is said: more would make it too large to be opened."""

_FEW_IMAGES = 10  # Below this many images, a label's figures say little.
_LINKED_IMAGES = 8  # of a piece of advice
_BASES = {
    "test": "test images, which it did not learn from",
    "cross_validation": (
        "training images, each predicted by a model that did not learn from it, because there were no test images"
    ),
}


@dataclass(frozen=True)
class _Label:
    """A label's row and its pictures."""

    figures: LabelFigures | DetectedLabelFigures
    intervals: LabelIntervals
    ranking: Ranking

    @property
    def average_precision(self) -> float | None:
        if isinstance(self.figures, DetectedLabelFigures):
            return self.figures.coco.ap50
        return self.figures.average_precision

    @property
    def boxes(self) -> int | None:
        return self.figures.boxes if isinstance(self.figures, DetectedLabelFigures) else None

    @property
    def says_little(self) -> bool:
        return self.figures.images < _FEW_IMAGES

    @property
    def pictures(self) -> list[Markup]:
        of_label = self.figures.label, self.ranking, self.figures.threshold
        return [precision_recall_picture(*of_label), threshold_picture(*of_label)]


def write_html_report(path: Path, report: Report, thumbnail: Thumbnail, most_thumbnails: int = MOST_THUMBNAILS) -> None:
    """Writes the page. The same arguments give the same bytes.

    Args:
        path: the file to write, in an existing folder.
        report: what the page tells.
        thumbnail: makes a small JPEG of an image; 320 pixels a side are enough.
        most_thumbnails: how many images are shown; those with mistakes come first.

    Raises:
        OSError: if the page cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("sightsmith_training.engine.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "figure": _figure}
    page = environment.get_template("report.html")
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(page.generate(_content(report, thumbnail, most_thumbnails)))


def _content(report: Report, thumbnail: Thumbnail, most_thumbnails: int) -> dict[str, Any]:
    matches = report.matches
    shown = gallery_order(matches)[:most_thumbnails]
    figures, reliability = figures_of(matches), reliability_of(matches)
    return {
        "report": report,
        "evaluated_at": f"{report.evaluated_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        "basis": f"{len(matches.images)} {_BASES[report.evaluated_on]}",
        "iou": matches.iou if isinstance(matches, DetectionMatches) else None,
        "headlines": headline_figures(figures, report.intervals, reliability),
        "labels": _labels(report, figures),
        "heatmap": heatmap(matches),
        "reliability_picture": reliability_picture(reliability),
        "learning_picture": _learning(report),
        "candidates_picture": _candidates(report),
        "looks": list(LOOKS.values()),
        "label_names": matches.labels,
        "advice": _advice(report, shown),
        "images": gallery(matches, report.entries, shown, thumbnail),
        "shown_images": len(shown),
        "right_images": _right_images(matches),
    }


def _labels(report: Report, figures: Figures) -> list[_Label]:
    of_labels: Sequence[LabelFigures | DetectedLabelFigures] = figures.labels
    columns = zip(of_labels, report.intervals.labels, report.matches.rankings, strict=True)
    return sorted((_Label(*column) for column in columns), key=lambda label: (-label.figures.f1, label.figures.label))


def _advice(report: Report, shown: Sequence[int]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each piece of advice with the shown images that it is about, by their resource names and as people know them."""
    images = {image.image: known_as(image) for image in (report.matches.images[position] for position in shown)}
    return [
        (advice.text, [(name, images[name]) for name in advice.images if name in images][:_LINKED_IMAGES])
        for advice in report.advice
    ]


def _learning(report: Report) -> Markup | None:
    if not report.learning_points:
        return None
    return learning_picture(report.learning_points, report.learning_curve, report.candidate_score)


def _candidates(report: Report) -> Markup | None:
    if all(candidate.milliseconds is None for candidate in report.candidates):
        return None
    return candidates_picture(report.candidates, report.candidate_score)


def _right_images(matches: Matches) -> int:
    counts = matches.counts
    return int(((counts.false_positives + counts.false_negatives).sum(axis=1) == 0).sum())


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
