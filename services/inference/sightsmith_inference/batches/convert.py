"""Between batch prediction jobs and the messages of the API."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from sightsmith.api.inference.v1 import batch_prediction_job_pb2 as api
from sightsmith.errors import FieldViolation, InvalidArgumentError
from sightsmith.names import DatasetName, DeploymentName, ProjectName, ResourceName, SnapshotName
from sightsmith.rpc.status import to_status
from sightsmith_inference.batches.job import BatchJob, BatchRequest, JobState, Phase, ResultFile, ResultFormat
from sightsmith_inference.ranking import Wish

_FIELD = "batch_prediction_job"
_DEFAULT_PREFIX = "batch-predictions"
_MOST_URLS = 1000
_MOST_LABELS = 1000
_LONGEST_URL = 2048
_FORMATS = {
    api.BatchPredictionJob.FORMAT_JSON_LINES: ResultFormat.JSON_LINES,
    api.BatchPredictionJob.FORMAT_GROUND_TRUTH: ResultFormat.GROUND_TRUTH,
}
_TO_FORMAT = {value: number for number, value in _FORMATS.items()}


def request_of(job: api.BatchPredictionJob, project: ProjectName) -> BatchRequest:
    """Reads what a job is asked to do.

    Raises:
        InvalidArgumentError: naming the field that is wrong.
    """
    _require_of_project(DeploymentName, job.deployment, "deployment", project)
    source = job.WhichOneof("source")
    if source is None:
        names = "url, manifest_url, dataset, snapshot or image_urls"
        raise InvalidArgumentError.of_field(f"{_FIELD}.source", f"one of {names} must be set")
    if source == "dataset":
        _require_of_project(DatasetName, job.dataset, "dataset", project)
    if source == "snapshot":
        _require_of_project(SnapshotName, job.snapshot, "snapshot", project)
    request = BatchRequest(
        deployment=job.deployment,
        url=job.url,
        manifest_url=job.manifest_url,
        dataset=job.dataset,
        snapshot=job.snapshot,
        image_urls=tuple(job.image_urls.urls),
        min_confidence=job.min_confidence if job.HasField("min_confidence") else None,
        max_results=job.max_results,
        labels=tuple(dict.fromkeys(job.labels)),
        output_prefix=job.output_prefix or _DEFAULT_PREFIX,
        formats=_formats_of(job.formats),
    )
    if violations := _violations(request):
        message = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        raise InvalidArgumentError(message, violations=violations)
    return request


def job_to_proto(job: BatchJob) -> api.BatchPredictionJob:
    """A job as clients see it."""
    spec = job.spec
    message = api.BatchPredictionJob(
        name=str(job.name),
        deployment=spec.deployment,
        min_confidence=spec.min_confidence,
        max_results=spec.max_results,
        labels=spec.labels,
        output_prefix=spec.output_prefix,
        formats=[_TO_FORMAT[written] for written in spec.formats],
        state=api.BatchPredictionJob.State.Value(f"STATE_{job.state}"),
        progress=_progress_to_proto(job) if job.start_time is not None else None,
        cost=api.BatchPredictionCost(
            image_count=job.done, worker_time=_duration(job.worker_seconds), model_time=_duration(job.model_seconds)
        ),
        results=map(_result_to_proto, job.results),
        error=to_status(job.error.to_error()) if job.error is not None else None,
        actor=job.actor,
        revision=job.revision,
        create_time=_timestamp(job.create_time),
        start_time=_timestamp(job.start_time),
        end_time=_timestamp(job.end_time),
    )
    _copy_source(spec, message)
    return message


def _copy_source(spec: BatchRequest, message: api.BatchPredictionJob) -> None:
    for name in ("url", "manifest_url", "dataset", "snapshot"):
        if value := getattr(spec, name):
            setattr(message, name, value)
    if spec.image_urls:
        message.image_urls.urls.extend(spec.image_urls)


def _progress_to_proto(job: BatchJob) -> api.BatchPredictionProgress:
    remaining = job.remaining_seconds
    return api.BatchPredictionProgress(
        phase=api.BatchPredictionProgress.Phase.Value(f"PHASE_{Phase(job.phase)}"),
        image_count=job.images,
        answered_count=job.answered,
        failed_count=job.failed,
        skipped_count=job.skipped,
        shard_count=job.shards,
        done_shard_count=job.done_shards,
        images_per_second=job.images_per_second,
        remaining_time=_duration(remaining) if remaining is not None and job.state is JobState.RUNNING else None,
    )


def _result_to_proto(file: ResultFile) -> api.BatchPredictionResult:
    return api.BatchPredictionResult(
        format=_TO_FORMAT[file.format],
        file_name=file.format.file_name,
        url=file.url,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
    )


def _formats_of(formats: Sequence[api.BatchPredictionJob.Format.ValueType]) -> tuple[ResultFormat, ...]:
    unknown = [written for written in formats if written not in _FORMATS]
    if unknown:
        raise InvalidArgumentError.of_field(f"{_FIELD}.formats", f"there is none of number {unknown[0]}")
    return tuple(dict.fromkeys(_FORMATS[written] for written in formats)) or tuple(ResultFormat)


def _require_of_project(kind: type[ResourceName], name: str, field: str, project: ProjectName) -> None:
    parsed = kind.parse(name, f"{_FIELD}.{field}")
    if vars(parsed)["project"] != project.project:
        raise InvalidArgumentError.of_field(f"{_FIELD}.{field}", f"must be of {project}, not {name}")


def _violations(request: BatchRequest) -> list[FieldViolation]:
    found = [
        FieldViolation(f"{_FIELD}.{violation.field}", violation.description)
        for violation in Wish(request.min_confidence, request.max_results).violations()
    ]
    if len(request.image_urls) > _MOST_URLS:
        rule = f"must have at most {_MOST_URLS} entries, not {len(request.image_urls)}; give more as a manifest_url"
        found.append(FieldViolation(f"{_FIELD}.image_urls.urls", rule))
    if len(request.labels) > _MOST_LABELS:
        found.append(FieldViolation(f"{_FIELD}.labels", f"must have at most {_MOST_LABELS} entries"))
    longest = max(map(len, (request.url, request.manifest_url, *request.image_urls)))
    if longest > _LONGEST_URL:
        found.append(FieldViolation(f"{_FIELD}.source", f"a URL must have at most {_LONGEST_URL} characters"))
    return found


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromTimedelta(timedelta(seconds=seconds if math.isfinite(seconds) else 0.0))
    return duration


def _timestamp(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(time)
    return timestamp
