"""From domain values to the API's messages."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2

from sightsmith.api.training.v1 import evaluation_job_pb2, model_pb2, report_file_pb2, training_job_pb2
from sightsmith.errors import FieldViolation, SightsmithError
from sightsmith.rpc.status import to_status
from sightsmith_training.engine.contract import (
    Candidate,
    ExportFormat,
    ModelVariant,
    Parity,
    Recommendation,
    RecommendedRuntime,
)
from sightsmith_training.evaluation_convert import summary_message
from sightsmith_training.job_options import EFFORTS, PREFERENCES, TASKS, VARIANTS
from sightsmith_training.jobs import EvaluationJob, JobError, JobProgress, TrainingJob
from sightsmith_training.models import Model, StoredArtifact
from sightsmith_training.report_files import StoredReportFile

_RUNTIMES: Mapping[RecommendedRuntime, model_pb2.Recommendation.Runtime.ValueType] = {
    "onnxruntime-cpu": model_pb2.Recommendation.RUNTIME_ONNXRUNTIME_CPU,
    "onnxruntime-cuda": model_pb2.Recommendation.RUNTIME_ONNXRUNTIME_CUDA,
    "tensorrt": model_pb2.Recommendation.RUNTIME_TENSORRT,
    "pytorch": model_pb2.Recommendation.RUNTIME_PYTORCH,
}


def job_message(job: TrainingJob) -> training_job_pb2.TrainingJob:
    """A training job."""
    return training_job_pb2.TrainingJob(
        name=job.name,
        snapshot=job.snapshot,
        seed=job.seed,
        state=training_job_pb2.TrainingJob.State.Value(f"STATE_{job.state}"),
        progress=_progress(job.progress) if job.progress else None,
        model=job.model or "",
        error=status_message(job.error) if job.error else None,
        attempt=job.attempt,
        revision=job.revision,
        create_time=_timestamp(job.create_time),
        start_time=_timestamp(job.start_time) if job.start_time else None,
        end_time=_timestamp(job.end_time) if job.end_time else None,
        task=TASKS[job.options.task],
        effort=EFFORTS[job.options.effort],
        budget=None if job.options.budget_seconds is None else _duration(job.options.budget_seconds),
        preference=PREFERENCES[job.options.preference],
        decided_task=TASKS[job.task or "auto"],
        task_reason=job.task_reason or "",
        variants=VARIANTS[job.options.variants],
        max_variant_loss=job.options.max_variant_loss,
        output_prefix=job.options.output_prefix,
        report_files=map(report_file_message, job.report_files),
        report_problems=job.report_problems,
        work_duration=_duration(job.worked_seconds),
        notes=job.notes,
        leave_out_rare_labels=job.options.leave_out_rare_labels,
        left_out_labels=job.left_out_labels,
    )


def evaluation_job_message(job: EvaluationJob) -> evaluation_job_pb2.EvaluationJob:
    """A job that judges a model."""
    return evaluation_job_pb2.EvaluationJob(
        name=job.name,
        model=job.model,
        snapshot=job.snapshot,
        split=evaluation_job_pb2.EvaluationJob.Split.Value(f"SPLIT_{(job.wanted.split or 'unspecified').upper()}"),
        datasets=job.wanted.datasets,
        state=evaluation_job_pb2.EvaluationJob.State.Value(f"STATE_{job.state}"),
        progress=_evaluation_progress(job.progress) if job.progress else None,
        evaluation=job.evaluation or "",
        error=status_message(job.error) if job.error else None,
        attempt=job.attempt,
        revision=job.revision,
        create_time=_timestamp(job.create_time),
        start_time=_timestamp(job.start_time) if job.start_time else None,
        end_time=_timestamp(job.end_time) if job.end_time else None,
    )


def model_message(model: Model) -> model_pb2.Model:
    """A model version."""
    return model_pb2.Model(
        name=str(model.name),
        task=model_pb2.Model.Task.Value(f"TASK_{model.task.upper()}"),
        labels=model.labels,
        snapshot=model.snapshot,
        training_job=str(model.training_job),
        image_side=model.image_side,
        candidates=[_candidate(candidate) for candidate in model.candidates],
        seed=model.seed,
        library_versions=model.library_versions,
        artifacts=[artifact_message(artifact) for artifact in model.artifacts],
        parity=_parity(model.parity),
        evaluation=summary_message(model.evaluation),
        training_duration=_duration(model.training_seconds),
        create_time=_timestamp(model.create_time),
        description=model.description,
        tags=model.tags,
        copied_from=model.copied_from,
        update_time=_timestamp(model.update_time or model.create_time),
        etag=model.etag,
        thresholds=[
            model_pb2.LabelThreshold(label=label, threshold=threshold)
            for label, threshold in zip(model.labels, model.thresholds, strict=bool(model.thresholds))
        ],
        report_files=map(report_file_message, model.report_files),
        variants=map(_variant, model.variants),
        recommendations=map(_recommendation, model.recommendations),
        report_problems=model.report_problems,
        left_out_labels=model.left_out_labels,
    )


def report_file_message(file: StoredReportFile) -> report_file_pb2.ReportFile:
    """A file of a report."""
    return report_file_pb2.ReportFile(
        path=file.path,
        media_type=file.media_type,
        key=file.key,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        output_uri=file.output_url,
    )


def artifact_message(artifact: StoredArtifact) -> model_pb2.Artifact:
    """An exported file."""
    return model_pb2.Artifact(
        format=_format(artifact.format),
        path=artifact.path,
        key=artifact.key,
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
    )


def _format(model_format: ExportFormat) -> model_pb2.Artifact.Format.ValueType:
    return model_pb2.Artifact.Format.Value(f"FORMAT_{model_format.upper()}")


def _variant(variant: ModelVariant) -> model_pb2.Variant:
    return model_pb2.Variant(
        format=_format(variant.format),
        kept=variant.kept,
        reason=variant.reason,
        recipe=variant.recipe,
        full_figure=variant.full_figure,
        figure=variant.figure,
        label_agreement=variant.agreement,
        full_milliseconds_per_image=variant.full_milliseconds,
        milliseconds_per_image=variant.milliseconds,
        image_count=variant.images,
    )


def _recommendation(recommendation: Recommendation) -> model_pb2.Recommendation:
    return model_pb2.Recommendation(
        runtime=_RUNTIMES[recommendation.runtime],
        format=_format(recommendation.format),
        reason=recommendation.reason,
    )


def _progress(progress: JobProgress) -> training_job_pb2.TrainingProgress:
    return training_job_pb2.TrainingProgress(
        phase=training_job_pb2.TrainingProgress.Phase.Value(f"PHASE_{progress.phase.upper()}"),
        percent=progress.percent,
        remaining=None if progress.remaining_seconds is None else _duration(progress.remaining_seconds),
        best_score=progress.best_score,
        activity=progress.activity,
        metrics=progress.metrics,
    )


def _evaluation_progress(progress: JobProgress) -> evaluation_job_pb2.EvaluationProgress:
    return evaluation_job_pb2.EvaluationProgress(
        phase=evaluation_job_pb2.EvaluationProgress.Phase.Value(f"PHASE_{progress.phase.upper()}"),
        percent=progress.percent,
        remaining=None if progress.remaining_seconds is None else _duration(progress.remaining_seconds),
    )


def status_message(error: JobError) -> status_pb2.Status:
    violations = [FieldViolation(field, description) for field, description in error.violations]
    return to_status(
        SightsmithError(error.message, reason=error.reason, metadata=error.metadata, violations=violations)
    )


def _candidate(candidate: Candidate) -> model_pb2.Candidate:
    return model_pb2.Candidate(
        backbones=candidate.backbones,
        strength=candidate.strength,
        score_mean=candidate.score_mean,
        score_deviation=candidate.score_std,
        display_name=candidate.name,
        fine_tuned=candidate.fine_tuned,
        parameters=candidate.parameters,
        search_duration=_duration(candidate.seconds),
        milliseconds_per_image=candidate.milliseconds_per_image,
        network_share=candidate.network_share,
        dropped_reason=candidate.dropped,
    )


def _parity(parity: Parity) -> model_pb2.Parity:
    return model_pb2.Parity(
        onnx_difference=parity.onnx,
        torchscript_difference=parity.torchscript,
        label_agreement=parity.label_agreement,
        image_count=parity.images,
        tolerance=parity.tolerance,
    )


def _timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message


def _duration(seconds: float) -> Duration:
    message = Duration()
    message.FromTimedelta(timedelta(seconds=seconds))
    return message
