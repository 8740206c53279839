"""From evaluations to the API's messages."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from sightsmith.api.training.v1 import (
    evaluation_curves_pb2,
    evaluation_pb2,
    finding_pb2,
    model_comparison_pb2,
    model_pb2,
)
from sightsmith.names import EvaluationCurvesName, ModelName
from sightsmith_training.engine.evaluation_result import (
    Advice,
    DetectionEvaluation,
    Evaluation,
    Interval,
    LabelEvaluation,
)
from sightsmith_training.engine.judging.curves import CurvePoint
from sightsmith_training.engine.reports.image_outcomes import Box
from sightsmith_training.evaluations.curves import Curves
from sightsmith_training.evaluations.judged_images import Finding, JudgedImage
from sightsmith_training.evaluations.selection import JudgedSelection
from sightsmith_training.evaluations.stored_evaluation import StoredEvaluation

if TYPE_CHECKING:
    from sightsmith_training.engine.judging.comparison import Comparison
    from sightsmith_training.evaluations.comparing import ComparedImage, ModelComparison


def evaluation_message(stored: StoredEvaluation) -> evaluation_pb2.Evaluation:
    """How good a model is."""
    evaluation, selection = stored.figures, stored.selection
    return evaluation_pb2.Evaluation(
        name=str(stored.name),
        basis=evaluation_pb2.Evaluation.Basis.Value(f"BASIS_{evaluation.evaluated_on.upper()}"),
        summary=summary_message(evaluation),
        label_metrics=[_label_metrics(label) for label in evaluation.per_label],
        confusion_matrix=[
            evaluation_pb2.ConfusionRow(label=label, predicted_counts=counts)
            # Evaluations of old have no row for "none", the last one.
            for label, counts in zip([*stored.labels, ""], evaluation.confusion_matrix, strict=False)
        ],
        image_count=evaluation.images or sum(metrics.images for metrics in evaluation.per_label),
        mean_average_precision=evaluation.mean_average_precision,
        accuracy_interval=_interval(evaluation.accuracy_interval),
        macro_f1_interval=_interval(evaluation.macro_f1_interval),
        calibration_error=evaluation.calibration_error,
        advice=map(_advice, evaluation.advice),
        detection=_detection_metrics(evaluation.detection) if evaluation.detection else None,
        learning_curve=[
            evaluation_pb2.LearningPoint(
                image_count=point.images, score=point.score, score_interval=_interval(point.interval)
            )
            for point in evaluation.learning_curve
        ],
        snapshot=stored.snapshot,
        create_time=_timestamp(stored.create_time),
        unknown_labels=[
            evaluation_pb2.UnknownLabel(label=label, image_count=count)
            for label, count in (selection.unknown_labels if selection else {}).items()
        ],
        left_out=_left_out(selection) if selection else None,
    )


def summary_message(evaluation: Evaluation) -> model_pb2.EvaluationSummary:
    """How good a model is, in short."""
    detection, micro = evaluation.detection, evaluation.micro
    return model_pb2.EvaluationSummary(
        accuracy=evaluation.accuracy,
        macro_precision=evaluation.macro_precision,
        macro_recall=evaluation.macro_recall,
        macro_f1=evaluation.macro_f1,
        map_50=detection.map_50 if detection else None,
        map_50_95=detection.map_50_95 if detection else None,
        micro_precision=micro.precision if micro else None,
        micro_recall=micro.recall if micro else None,
        micro_f1=micro.f1 if micro else None,
    )


def evaluated_image_message(judged: JudgedImage) -> evaluation_pb2.EvaluatedImage:
    """An image that a model was judged by."""
    answer, predicted = judged.answer, judged.predicted_labels
    return evaluation_pb2.EvaluatedImage(
        image=answer.image,
        source=answer.source,
        true_label=next(iter(answer.true_labels), ""),
        predicted_label=next(iter(predicted), ""),
        confidence=judged.confidence,
        scores=answer.scores,
        true_labels=answer.true_labels,
        predicted_labels=predicted,
        is_right=judged.is_right,
        findings=map(_finding, judged.findings),
        width=answer.width,
        height=answer.height,
    )


def curves_message(name: EvaluationCurvesName, curves: Curves) -> evaluation_curves_pb2.EvaluationCurves:
    """What other thresholds would give."""
    return evaluation_curves_pb2.EvaluationCurves(
        name=str(name),
        label_curves=[
            evaluation_curves_pb2.LabelCurves(
                label=label.label,
                precision_recall=_points(label.precision_recall),
                by_threshold=_points(label.by_threshold),
            )
            for label in curves.labels
        ],
        reliability=[
            evaluation_curves_pb2.ReliabilityBin(
                lower=bin_.lower,
                upper=bin_.upper,
                confidence=bin_.confidence,
                accuracy=bin_.accuracy,
                count=bin_.count,
            )
            for bin_ in curves.reliability
        ],
    )


def comparison_message(
    baseline: ModelName, candidate: ModelName, comparison: "ModelComparison"
) -> model_comparison_pb2.ModelComparison:
    """How a model compares with another one."""
    return model_comparison_pb2.ModelComparison(
        baseline=str(baseline),
        candidate=str(candidate),
        image_count=comparison.images,
        baseline_only_image_count=comparison.baseline_only,
        candidate_only_image_count=comparison.candidate_only,
        relabelled_image_count=comparison.relabelled,
        differing_labels=comparison.differing_labels,
        figures=map(_figure_difference, comparison.figures),
        mcnemar_p_value=comparison.figures[0].mcnemar_p_value,
        both_right_count=comparison.both_right,
        baseline_right_count=comparison.baseline_right_count,
        candidate_right_count=comparison.candidate_right_count,
        baseline_right=map(_compared_image, comparison.baseline_right),
        candidate_right=map(_compared_image, comparison.candidate_right),
    )


def _advice(advice: Advice) -> evaluation_pb2.Advice:
    count = advice.image_count or len(advice.images)
    return evaluation_pb2.Advice(
        code=advice.code, text=advice.text, labels=advice.labels, images=advice.images, image_count=count
    )


def _left_out(selection: JudgedSelection) -> evaluation_pb2.LeftOutImages:
    return evaluation_pb2.LeftOutImages(
        learned_image_count=selection.learned,
        ignored_image_count=selection.ignored,
        unusable_image_count=selection.unusable_count,
        unusable_images=[
            evaluation_pb2.UnusableImage(image=violation.field, problem=violation.description)
            for violation in selection.unusable
        ],
    )


def _timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message


def _label_metrics(label: LabelEvaluation) -> evaluation_pb2.LabelMetrics:
    return evaluation_pb2.LabelMetrics(
        label=label.label,
        precision=label.precision,
        recall=label.recall,
        f1=label.f1,
        image_count=label.images,
        threshold=label.threshold,
        true_positive_count=label.true_positives,
        false_positive_count=label.false_positives,
        false_negative_count=label.false_negatives,
        average_precision=label.average_precision,
        precision_interval=_interval(label.precision_interval),
        recall_interval=_interval(label.recall_interval),
        f1_interval=_interval(label.f1_interval),
        training_image_count=label.training_images,
        true_negative_count=label.true_negatives,
    )


def _detection_metrics(detection: DetectionEvaluation) -> evaluation_pb2.DetectionMetrics:
    return evaluation_pb2.DetectionMetrics(
        iou=detection.iou,
        map_50=detection.map_50,
        map_50_95=detection.map_50_95,
        average_recall=detection.average_recall,
        map_interval=_interval(detection.map_interval),
        map_small=detection.map_small,
        map_medium=detection.map_medium,
        map_large=detection.map_large,
    )


def _interval(interval: Interval | None) -> evaluation_pb2.Interval | None:
    return None if interval is None else evaluation_pb2.Interval(lower=interval.lower, upper=interval.upper)


def _finding(finding: Finding) -> finding_pb2.Finding:
    about = finding.about
    return finding_pb2.Finding(
        label=finding.label,
        outcome=finding_pb2.Finding.Outcome.Value(f"OUTCOME_{about.outcome.name}"),
        confidence=about.confidence,
        predicted_box=_box(about.predicted),
        labelled_box=_box(about.labelled),
        iou=about.iou,
    )


def _box(box: Box | None) -> finding_pb2.BoundingBox | None:
    if box is None:
        return None
    left, top, right, bottom = box
    return finding_pb2.BoundingBox(left=left, top=top, width=right - left, height=bottom - top)


def _points(points: Sequence[CurvePoint]) -> list[evaluation_curves_pb2.CurvePoint]:
    return [
        evaluation_curves_pb2.CurvePoint(
            threshold=point.threshold, precision=point.precision, recall=point.recall, f1=point.f1
        )
        for point in points
    ]


def _figure_difference(comparison: "Comparison") -> model_comparison_pb2.FigureDifference:
    return model_comparison_pb2.FigureDifference(
        figure=comparison.figure,
        baseline=comparison.first,
        candidate=comparison.second,
        difference=comparison.difference,
        interval=evaluation_pb2.Interval(lower=comparison.lower, upper=comparison.upper),
        p_value=comparison.p_value,
        significant=comparison.significant,
        statement=comparison.statement,
    )


def _compared_image(compared: "ComparedImage") -> model_comparison_pb2.ComparedImage:
    return model_comparison_pb2.ComparedImage(
        image=compared.image,
        source=compared.source,
        true_labels=compared.true_labels,
        baseline_labels=compared.baseline_labels,
        candidate_labels=compared.candidate_labels,
    )
