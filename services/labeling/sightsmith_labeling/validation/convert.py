"""Between validations and their protobuf messages."""

from collections.abc import Mapping
from typing import Any

from sightsmith.api.labeling.v1 import job_pb2, validation_job_pb2, validation_service_pb2
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import ProjectName, UploadedFileName
from sightsmith.places import AllowedPlaces
from sightsmith_labeling.convert import timestamp
from sightsmith_labeling.jobs.convert import error_to_proto, progress_to_proto, state_to_proto
from sightsmith_labeling.jobs.job import Job
from sightsmith_labeling.validation.request import ManifestSource, RuleSet, ValidationFile, ValidationRequest

_Proto = validation_job_pb2.ValidationJob
_Result = validation_job_pb2.ValidationResult
_Download = validation_service_pb2.DownloadValidationFileRequest
_RULE_SETS = {
    _Proto.RULE_SET_UNSPECIFIED: RuleSet.SIGHTSMITH,
    _Proto.RULE_SET_SIGHTSMITH: RuleSet.SIGHTSMITH,
    _Proto.RULE_SET_CUSTOM_LABELS: RuleSet.CUSTOM_LABELS,
}
_FILES = {
    _Download.FILE_SUMMARY: ValidationFile.SUMMARY,
    _Download.FILE_TRAINING_MANIFEST: ValidationFile.TRAINING_MANIFEST,
    _Download.FILE_TESTING_MANIFEST: ValidationFile.TESTING_MANIFEST,
}


def validation_request_from_proto(
    project: ProjectName, job: validation_job_pb2.ValidationJob, places: AllowedPlaces
) -> ValidationRequest:
    """Reads what a validation is asked to do.

    Raises:
        InvalidArgumentError: naming the field that is wrong.
    """
    if job.rule_set not in _RULE_SETS:
        raise InvalidArgumentError.of_field("validation_job.rule_set", f"there is none of number {job.rule_set}")
    if job.HasField("test_manifest") and not job.HasField("train_manifest"):
        raise InvalidArgumentError.of_field("validation_job.train_manifest", "is required beside test_manifest")
    return ValidationRequest(
        train=_source(project, "train_manifest", job.train_manifest, places)
        if job.HasField("train_manifest")
        else None,
        test=_source(project, "test_manifest", job.test_manifest, places) if job.HasField("test_manifest") else None,
        rule_set=_RULE_SETS[job.rule_set],
    )


def validation_job_to_proto(job: Job) -> validation_job_pb2.ValidationJob:
    """A validation as a client sees it."""
    request = ValidationRequest.model_validate(job.spec)
    return _Proto(
        name=str(job.name),
        train_manifest=_source_to_proto(request.train),
        test_manifest=_source_to_proto(request.test),
        rule_set=_Proto.RuleSet.Value(f"RULE_SET_{request.rule_set}"),
        state=state_to_proto(job.state),
        progress=progress_to_proto(job.progress),
        result=_result(job.result) if job.result is not None else None,
        error=error_to_proto(job.error),
        actor=job.actor,
        revision=job.revision,
        create_time=timestamp(job.create_time),
        start_time=timestamp(job.start_time) if job.start_time else None,
        end_time=timestamp(job.end_time) if job.end_time else None,
    )


def validation_file_from_proto(
    file: validation_service_pb2.DownloadValidationFileRequest.File.ValueType,
) -> ValidationFile:
    """Reads which file is wanted.

    Raises:
        InvalidArgumentError: if it is none that is known here.
    """
    if file not in _FILES:
        names = ", ".join(_Download.File.Name(known) for known in _FILES)
        raise InvalidArgumentError.of_field("file", f"must be one of {names}, not {file}")
    return _FILES[file]


def _source(
    project: ProjectName, name: str, manifest: validation_job_pb2.ValidationJob.Manifest, places: AllowedPlaces
) -> ManifestSource:
    field = f"validation_job.{name}"
    match manifest.WhichOneof("source"):
        case "uploaded_file":
            if UploadedFileName.parse(manifest.uploaded_file, f"{field}.uploaded_file").project != project.project:
                rule = f"must be of {project}, not {manifest.uploaded_file}"
                raise InvalidArgumentError.of_field(f"{field}.uploaded_file", rule)
            return ManifestSource(uploaded_file=manifest.uploaded_file)
        case "url":
            places.check(f"{field}.url", manifest.url)
            return ManifestSource(url=manifest.url)
        case _:
            raise InvalidArgumentError.of_field(f"{field}.source", "must be one of uploaded_file, url")


def _source_to_proto(source: ManifestSource | None) -> validation_job_pb2.ValidationJob.Manifest | None:
    return _Proto.Manifest(**source.model_dump(exclude_none=True)) if source is not None else None


def _result(result: Mapping[str, Any]) -> validation_job_pb2.ValidationResult:
    statistics = result["summary"]["statistics"]
    return _Result(
        trainable=result["is_trainable"],
        use_case=_Result.UseCase.Value(f"USE_CASE_{statistics['training']['use_case']}"),
        train=_lines(statistics["training"]),
        test=_lines(statistics["testing"]) if "testing" in statistics else None,
        code_counts=[
            _Result.CodeCount(
                severity=job_pb2.JobFinding.Severity.Value(f"SEVERITY_{found['severity']}"),
                code=found["code"],
                count=found["count"],
            )
            for found in result["code_counts"]
        ],
        unmeasured_image_count=result["unmeasured_images"],
        judged_image_count=result["judged_images"],
    )


def _lines(counts: Mapping[str, Any]) -> validation_job_pb2.ValidationResult.Lines:
    return _Result.Lines(
        total_count=counts["total_json_lines"],
        valid_count=counts["valid_json_lines"],
        invalid_count=counts["invalid_json_lines"],
        ignored_count=counts["ignored_json_lines"],
    )
