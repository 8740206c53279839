"""A page that tells people how good a model is and why: one file, without a server, scripts of others or a network."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sightsmith_training.engine.evaluation_result import Evaluation, LabelEvaluation, LearningPoint
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.engine.judging.learning_curve import LearningCurve, fit_learning_curve
from sightsmith_training.engine.judging.rankings import Ranking
from sightsmith_training.engine.judging.reliability import (
    Reliability,
    classification_reliability,
    detection_reliability,
)
from sightsmith_training.engine.reports.gallery import Thumbnail, gallery, gallery_order, known_as
from sightsmith_training.engine.reports.headline_figures import headline_figures
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

    figures: LabelEvaluation
    ranking: Ranking

    @property
    def boxes(self) -> int:
        return self.figures.true_positives + self.figures.false_negatives

    @property
    def is_judged(self) -> bool:
        """Whether there is anything of it to find; if not, its figures are no figures."""
        return self.boxes > 0

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
    matches, evaluation = report.matches, report.evaluation
    shown = gallery_order(matches)[:most_thumbnails]
    curve = _learning_curve(evaluation.learning_curve)
    return {
        "report": report,
        "evaluated_at": f"{report.evaluated_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        "basis": f"{len(matches.images)} {_BASES[evaluation.evaluated_on]}",
        "iou": matches.iou if isinstance(matches, DetectionMatches) else None,
        "headlines": headline_figures(evaluation),
        "labels": _labels(report),
        "heatmap": heatmap(matches),
        "reliability_picture": reliability_picture(_reliability(matches)),
        "learning_curve": curve,
        "learning_gain": _gain_of_doubling(evaluation, curve),
        "learning_picture": _learning(report, curve),
        "candidates_picture": _candidates(report),
        "looks": list(LOOKS.values()),
        "label_names": matches.labels,
        "advice": _advice(report, shown),
        "images": gallery(matches, report.entries, shown, thumbnail),
        "shown_images": len(shown),
        "right_images": _right_images(matches),
    }


def _labels(report: Report) -> list[_Label]:
    columns = zip(report.evaluation.per_label, report.matches.rankings, strict=True)
    return sorted(
        (_Label(*column) for column in columns),
        key=lambda label: (not label.is_judged, -label.figures.f1, label.figures.label),
    )


def _advice(report: Report, shown: Sequence[int]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each piece of advice with the shown images that it is about, by their resource names and as people know them."""
    images = {image.image: known_as(image) for image in (report.matches.images[position] for position in shown)}
    return [
        (advice.text, [(name, images[name]) for name in advice.images if name in images][:_LINKED_IMAGES])
        for advice in report.evaluation.advice
    ]


def _reliability(matches: Matches) -> Reliability:
    if isinstance(matches, DetectionMatches):
        return detection_reliability(matches)
    return classification_reliability(matches)


def _learning_curve(points: Sequence[LearningPoint]) -> LearningCurve | None:
    return fit_learning_curve([point.images for point in points], [point.score for point in points])


def _gain_of_doubling(evaluation: Evaluation, curve: LearningCurve | None) -> float | None:
    if curve is None:
        return None
    return curve.gain_of_doubling(evaluation.training_images or evaluation.learning_curve[-1].images)


def _learning(report: Report, curve: LearningCurve | None) -> Markup | None:
    points = report.evaluation.learning_curve
    return learning_picture(points, curve, report.learning_score) if points else None


def _candidates(report: Report) -> Markup | None:
    if all(candidate.milliseconds is None for candidate in report.candidates):
        return None
    return candidates_picture(report.candidates, report.candidate_score)


def _right_images(matches: Matches) -> int:
    counts = matches.counts
    return int(((counts.false_positives + counts.false_negatives).sum(axis=1) == 0).sum())


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
