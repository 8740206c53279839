"""Between exports and their protobuf messages."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sightsmith.api.labeling.v1 import export_job_pb2
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import DatasetName, ProjectName
from sightsmith_labeling.convert import check_text, timestamp
from sightsmith_labeling.exports.request import ExportRequest
from sightsmith_labeling.formats.convert import format_from_proto, format_to_proto
from sightsmith_labeling.jobs.convert import error_to_proto, progress_to_proto, state_to_proto
from sightsmith_labeling.jobs.job import Job


def export_request_from_proto(project: ProjectName, job: export_job_pb2.ExportJob) -> ExportRequest:
    """Reads what an export is asked to do.

    Raises:
        InvalidArgumentError: naming the field that is wrong.
    """
    dataset = None
    if job.dataset:
        name = DatasetName.parse(job.dataset, "export_job.dataset")
        if name.project != project.project:
            raise InvalidArgumentError.of_field("export_job.dataset", f"must be of {project}, not {name}")
        dataset = name.dataset
    format_name = format_from_proto("export_job.format", job.format)
    if format_name is None:
        raise InvalidArgumentError.of_field("export_job.format", "is required")
    if format_name == "folders" and not job.with_images:
        rule = "must be set for folders, which tell everything by the places of the images"
        raise InvalidArgumentError.of_field("export_job.with_images", rule)
    return ExportRequest(
        format=format_name,
        dataset=dataset,
        labelled_only=job.labelled_only,
        labels=tuple(check_text("export_job.labels", label) for label in job.labels),
        with_images=job.with_images,
    )


def export_job_to_proto(job: Job, days: float) -> export_job_pb2.ExportJob:
    """An export as a client sees it.

    Args:
        job: the export.
        days: that archives are kept.
    """
    request = ExportRequest.model_validate(job.spec)
    return export_job_pb2.ExportJob(
        name=str(job.name),
        format=format_to_proto(request.format),
        dataset=str(DatasetName(job.project.project, request.dataset)) if request.dataset is not None else "",
        labelled_only=request.labelled_only,
        labels=request.labels,
        with_images=request.with_images,
        state=state_to_proto(job.state),
        progress=progress_to_proto(job.progress),
        result=_result(job.result, job.end_time, days) if job.result is not None else None,
        error=error_to_proto(job.error),
        actor=job.actor,
        revision=job.revision,
        create_time=timestamp(job.create_time),
        start_time=timestamp(job.start_time) if job.start_time else None,
        end_time=timestamp(job.end_time) if job.end_time else None,
    )


def _result(result: Mapping[str, Any], end_time: datetime | None, days: float) -> export_job_pb2.ExportResult:
    values = {name: value for name, value in result.items() if name != "is_deleted"}
    expires = timestamp(end_time + timedelta(days=days)) if end_time else None
    return export_job_pb2.ExportResult(**values, expire_time=expires)
