"""Evaluations and comparisons as tables for people."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from sightsmith.api.training.v1.evaluation_pb2 import (
    Advice,
    DetectionMetrics,
    EvaluatedImage,
    Evaluation,
    Interval,
    LabelMetrics,
)
from sightsmith.api.training.v1.finding_pb2 import Finding
from sightsmith.api.training.v1.model_comparison_pb2 import ComparedImage, FigureDifference, ModelComparison
from sightsmith.counting import counted

_BASES = {
    Evaluation.BASIS_TEST: "test images",
    Evaluation.BASIS_UNSEEN: "images that it did not learn from",
    Evaluation.BASIS_CROSS_VALIDATION: "training images, each judged by a model that did not learn from it",
}
_OUTCOMES = {Finding.OUTCOME_FALSE_POSITIVE: "wrongly", Finding.OUTCOME_FALSE_NEGATIVE: "missed"}
_SHOWN_IMAGES = 10
_SHOWN_CONFUSIONS = 10
_NAMED_IMAGES = 3
_NOTHING = "nothing"


def evaluation_tables(title: str, evaluation: Evaluation) -> Iterator[RenderableType]:
    """What there is to tell of an evaluation: the headline figures, the labels, and what would help."""
    basis = _BASES.get(evaluation.basis, "images")
    yield f"{title}, judged by {evaluation.image_count} {basis}"
    yield _headline(evaluation)
    yield _labels(evaluation)
    yield from _confusions(evaluation)
    yield from _selection(evaluation)
    yield from (_advice(piece) for piece in evaluation.advice)


def mistakes_table(images: Iterable[EvaluatedImage], label: str, outcome: Finding.Outcome.ValueType) -> Table:
    """A row an image, with what is wrong on it.

    Args:
        images: the most confident mistakes first.
        label: the only one to tell of; empty for all.
        outcome: the only one to tell of; unspecified for both kinds of mistakes.
    """
    table = Table(title="mistakes, the most confident first")
    for heading in ("image", "there is", "the model says", "wrong"):
        table.add_column(heading, overflow="fold")
    for image in images:
        wrong = [finding for finding in image.findings if is_asked_for(finding, label, outcome)]
        cells = (
            image.source or image.image,
            ", ".join(image.true_labels) or "nothing",
            ", ".join(image.predicted_labels) or "nothing",
            "\n".join(map(_mistake, wrong)),
        )
        table.add_row(*map(escape, cells))
    return table


def is_asked_for(finding: Finding, label: str, outcome: Finding.Outcome.ValueType) -> bool:
    """Whether a finding is a mistake of that label and kind; empty and unspecified stand for all."""
    kinds = _OUTCOMES if outcome == Finding.OUTCOME_UNSPECIFIED else (outcome,)
    return finding.outcome in kinds and label in ("", finding.label)


def comparison_tables(comparison: ModelComparison) -> Iterator[RenderableType]:
    """What there is to tell of a comparison."""
    baseline, candidate = (name.rpartition("/")[2] for name in (comparison.baseline, comparison.candidate))
    yield _differences(comparison, baseline, candidate)
    yield from (escape(figure.statement) for figure in comparison.figures)
    yield from _provisos(comparison, baseline, candidate)
    for name, count, images in (
        (baseline, comparison.baseline_right_count, comparison.baseline_right),
        (candidate, comparison.candidate_right_count, comparison.candidate_right),
    ):
        if images:
            yield _images(f"{counted(count, 'image')} that only {name} gets right", images, baseline, candidate)


def _headline(evaluation: Evaluation) -> Table:
    table = Table("figure", "value", "95 % interval")
    for name, value, interval in _figures(evaluation):
        table.add_row(name, _share(value), "" if interval is None else _bounds(interval))
    return table


def _figures(evaluation: Evaluation) -> Iterator[tuple[str, float | None, Interval | None]]:
    summary, detection = evaluation.summary, evaluation.detection
    if evaluation.HasField("detection"):
        yield "mAP50", _known(detection, "map_50"), _interval(detection, "map_interval")
        yield "mAP50-95", _known(detection, "map_50_95"), None
        for size in ("small", "medium", "large"):
            if detection.HasField(f"map_{size}"):  # type: ignore[arg-type]
                yield f"mAP50-95 of {size} boxes", getattr(detection, f"map_{size}"), None
        yield "AR", _known(detection, "average_recall"), None
    yield "macro F1", summary.macro_f1, _interval(evaluation, "macro_f1_interval")
    yield "macro precision", summary.macro_precision, None
    yield "macro recall", summary.macro_recall, None
    if summary.HasField("micro_f1"):
        yield "micro F1", summary.micro_f1, None
    accuracy = "images without a mistake" if evaluation.HasField("detection") else "accuracy"
    yield accuracy, summary.accuracy, _interval(evaluation, "accuracy_interval")
    if not evaluation.HasField("detection"):
        yield "mean average precision", _known(evaluation, "mean_average_precision"), None
    yield "calibration error", _known(evaluation, "calibration_error"), None


def _labels(evaluation: Evaluation) -> Table:
    # Without lines ten columns fit on 80.
    table = Table(title="labels", box=None, collapse_padding=True, pad_edge=False)
    table.add_column("label", overflow="fold")
    for heading in (
        "precision",
        "recall",
        "F1",
        "F1: 95 %",
        "threshold",
        "right",
        "wrong",
        "missed",
        "images",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for metrics in evaluation.label_metrics:
        table.add_row(escape(metrics.label), *_label_cells(metrics))
    if evaluation.HasField("detection"):
        table.caption = f"boxes are right from an overlap (IoU) of {evaluation.detection.iou:g} on"
    return table


def _confusions(evaluation: Evaluation) -> Iterator[Table]:
    """What is most often taken for what, as far as the confusion matrix has anything beside its diagonal."""
    names = [*(metrics.label for metrics in evaluation.label_metrics), _NOTHING]
    found = [
        (count, row.label or _NOTHING, names[place])
        for row in evaluation.confusion_matrix
        for place, count in enumerate(row.predicted_counts)
        if count and names[place] != (row.label or _NOTHING)
    ]
    if not found:
        return
    table = Table("there is", "the model says", title="what is taken for what")
    table.add_column("times", justify="right")
    for count, there, said in sorted(found, key=lambda one: -one[0])[:_SHOWN_CONFUSIONS]:
        table.add_row(escape(there), escape(said), str(count))
    if len(found) > _SHOWN_CONFUSIONS:
        table.caption = f"the {_SHOWN_CONFUSIONS} most frequent; --json has the whole confusion matrix"
    yield table


def _selection(evaluation: Evaluation) -> Iterator[str]:
    """Which images an evaluation by others than the training's is about, as far as it is worth telling."""
    if unknown := evaluation.unknown_labels:
        counts = ", ".join(f"{label.label} (on {counted(label.image_count, 'image')})" for label in unknown)
        yield escape(f"labels that the model does not know, which count as nothing there: {counts}")
    left_out = evaluation.left_out
    for count, why in (
        (left_out.learned_image_count, "learned from"),
        (left_out.ignored_image_count, "not labelled as the model answers"),
        (left_out.unusable_image_count, "of no use"),
    ):
        if count:
            yield f"left out: {counted(count, 'image')} {why}"
    yield from (escape(f"  {image.image} {image.problem}") for image in left_out.unusable_images[:_SHOWN_IMAGES])


def figures_of(metrics: LabelMetrics) -> list[str]:
    """Precision, recall and F1 of a label; dashes where no image carries it, of which nothing can be said."""
    shares = (metrics.precision, metrics.recall, metrics.f1)
    return [f"{share:.3f}" if metrics.image_count else "–" for share in shares]


def _label_cells(metrics: LabelMetrics) -> Iterator[str]:
    yield from figures_of(metrics)
    interval, is_known = metrics.f1_interval, metrics.image_count and metrics.HasField("f1_interval")
    yield f"{interval.lower:.2f}–{interval.upper:.2f}" if is_known else ""
    yield f"{metrics.threshold:.3f}"
    counts = (metrics.true_positive_count, metrics.false_positive_count, metrics.false_negative_count)
    yield from map(str, (*counts, metrics.image_count))


def _advice(piece: Advice) -> str:
    """What to do; with the images that it is about, where a few say it all."""
    images = "" if piece.image_count > _NAMED_IMAGES else "".join(f"\n  {image}" for image in piece.images)
    return f"[bold]→[/] {escape(piece.text + images)}"


def _mistake(finding: Finding) -> str:
    return f"{finding.label} {_OUTCOMES[finding.outcome]} ({finding.confidence:.3f})"


def _differences(comparison: ModelComparison, baseline: str, candidate: str) -> Table:
    table = Table("figure", title=f"{candidate} beside {baseline}, on {counted(comparison.image_count, 'image')}")
    for heading in (baseline, candidate, "difference", "95 % interval", "p"):
        table.add_column(heading, justify="right")
    for figure in comparison.figures:
        table.add_row(figure.figure, *_difference_cells(figure), style="bold" if figure.significant else None)
    counts = (comparison.both_right_count, comparison.baseline_right_count, comparison.candidate_right_count)
    neither = comparison.image_count - sum(counts)
    table.caption = (
        f"right: both {counts[0]}, only {baseline} {counts[1]}, only {candidate} {counts[2]}, none {neither}"
    )
    return table


def _difference_cells(figure: FigureDifference) -> Iterator[str]:
    yield f"{figure.baseline:.3f}"
    yield f"{figure.candidate:.3f}"
    yield f"{figure.difference:+.3f}"
    yield f"{figure.interval.lower:+.3f} … {figure.interval.upper:+.3f}"
    yield f"{figure.p_value:.3f}"


def _provisos(comparison: ModelComparison, baseline: str, candidate: str) -> Iterator[str]:
    for name, count in (
        (baseline, comparison.baseline_only_image_count),
        (candidate, comparison.candidate_only_image_count),
    ):
        if count:
            yield f"left out: {counted(count, 'image')} that only {name} was judged by"
    if comparison.relabelled_image_count:
        relabelled = counted(comparison.relabelled_image_count, "image")
        yield f"labelled otherwise for {baseline}: {relabelled}; what counts are the labels for {candidate}"
    if comparison.differing_labels:
        yield escape(f"only one of the two knows: {', '.join(comparison.differing_labels)}")


def _images(title: str, images: Sequence[ComparedImage], baseline: str, candidate: str) -> Table:
    table = Table(title=title)
    for heading in ("image", "there is", f"{baseline} says", f"{candidate} says"):
        table.add_column(heading, overflow="fold")
    for image in images[:_SHOWN_IMAGES]:
        labels = (image.true_labels, image.baseline_labels, image.candidate_labels)
        table.add_row(escape(image.source or image.image), *(escape(", ".join(some) or "nothing") for some in labels))
    if len(images) > _SHOWN_IMAGES:
        table.caption = f"the first {_SHOWN_IMAGES}; --json has more"
    return table


def _known(message: Evaluation | DetectionMetrics, field: str) -> float | None:
    return getattr(message, field) if message.HasField(field) else None  # type: ignore[arg-type]


def _interval(message: Evaluation | DetectionMetrics, field: str) -> Interval | None:
    return getattr(message, field) if message.HasField(field) else None  # type: ignore[arg-type]


def _bounds(interval: Interval) -> str:
    return f"{interval.lower:.3f} … {interval.upper:.3f}"


def _share(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3f}"
