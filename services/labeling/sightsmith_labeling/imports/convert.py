"""Between imports and their protobuf messages."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from sightsmith.api.labeling.v1 import import_export_service_pb2, import_job_pb2, uploaded_file_pb2
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import DatasetName, ProjectName, UploadedFileName
from sightsmith.places import AllowedPlaces
from sightsmith_labeling.convert import timestamp
from sightsmith_labeling.formats.convert import format_from_proto, format_to_proto
from sightsmith_labeling.imports.request import ExistingImages, ImportRequest
from sightsmith_labeling.imports.uploaded_files import FileHeader, UploadedFile
from sightsmith_labeling.jobs.convert import error_to_proto, progress_to_proto, state_to_proto
from sightsmith_labeling.jobs.job import Job

_Proto = import_job_pb2.ImportJob
_EXISTING = {
    _Proto.EXISTING_IMAGES_UNSPECIFIED: ExistingImages.MERGE,
    _Proto.EXISTING_IMAGES_MERGE: ExistingImages.MERGE,
    _Proto.EXISTING_IMAGES_REPLACE: ExistingImages.REPLACE,
    _Proto.EXISTING_IMAGES_KEEP: ExistingImages.KEEP,
}


def import_request_from_proto(
    project: ProjectName, job: _Proto, places: AllowedPlaces, max_rejected_fraction: float
) -> ImportRequest:
    """Reads what an import is asked to do.

    Args:
        project: that the import belongs to.
        job: as a client sent it.
        places: that may be imported from.
        max_rejected_fraction: if the job says nothing else.

    Raises:
        InvalidArgumentError: naming the field that is wrong.
    """
    if job.dataset and DatasetName.parse(job.dataset, "import_job.dataset").project != project.project:
        raise InvalidArgumentError.of_field("import_job.dataset", f"must be of {project}, not {job.dataset}")
    fraction = job.max_rejected_fraction if job.HasField("max_rejected_fraction") else max_rejected_fraction
    if not 0 <= fraction <= 1:
        raise InvalidArgumentError.of_field("import_job.max_rejected_fraction", f"must be 0 to 1, not {fraction:g}")
    if job.existing_images not in _EXISTING:
        raise InvalidArgumentError.of_field("import_job.existing_images", f"there is no {job.existing_images}")
    if job.image_prefix:
        places.check("import_job.image_prefix", job.image_prefix)
    return ImportRequest(
        dataset=job.dataset or None,
        format=format_from_proto("import_job.format", job.format),
        image_prefix=job.image_prefix or None,
        existing_images=_EXISTING[job.existing_images],
        all_or_nothing=job.all_or_nothing,
        max_rejected_fraction=fraction,
        **_source_from_proto(project, job, places),
    )


def _source_from_proto(project: ProjectName, job: _Proto, places: AllowedPlaces) -> dict[str, str]:
    match job.WhichOneof("source"):
        case "uploaded_file":
            field = "import_job.uploaded_file"
            if UploadedFileName.parse(job.uploaded_file, field).project != project.project:
                raise InvalidArgumentError.of_field(field, f"must be of {project}, not {job.uploaded_file}")
            return {"uploaded_file": job.uploaded_file}
        case "url":
            places.check("import_job.url", job.url)
            return {"url": job.url}
        case "source_dataset":
            source = DatasetName.parse(job.source_dataset, "import_job.source_dataset")
            # Without `dataset` the images go to the one of their split, of which a project has a single one.
            if job.source_dataset == job.dataset or (not job.dataset and source.project == project.project):
                raise InvalidArgumentError.of_field("import_job.source_dataset", "must be another dataset")
            return {"source_dataset": job.source_dataset}
        case _:
            rule = "must be one of uploaded_file, url, source_dataset"
            raise InvalidArgumentError.of_field("import_job.source", rule)


def import_job_to_proto(job: Job) -> _Proto:
    """An import as a client sees it."""
    request = ImportRequest.model_validate(job.spec)
    sources = {"uploaded_file": request.uploaded_file, "url": request.url, "source_dataset": request.source_dataset}
    return _Proto(
        name=str(job.name),
        dataset=request.dataset or "",
        format=format_to_proto(request.format),
        **{name: value for name, value in sources.items() if value is not None},
        image_prefix=request.image_prefix or "",
        existing_images=_Proto.ExistingImages.Value(f"EXISTING_IMAGES_{request.existing_images}"),
        all_or_nothing=request.all_or_nothing,
        max_rejected_fraction=request.max_rejected_fraction,
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


def _result(result: Mapping[str, Any]) -> import_job_pb2.ImportResult:
    return import_job_pb2.ImportResult(
        format=format_to_proto(result["format"]),
        read_count=result["read"],
        created_count=result["created"],
        updated_count=result["updated"],
        unchanged_count=result["unchanged"],
        rejected_count=result["rejected"],
        problem_count=result["problems"],
    )


async def upload_header(requests: AsyncIterator[import_export_service_pb2.UploadFileRequest]) -> FileHeader:
    """Reads what an upload begins with.

    Raises:
        InvalidArgumentError: if it begins with something else, or is empty.
    """
    first = await anext(requests, None)
    if first is None or first.WhichOneof("part") != "header":
        raise InvalidArgumentError.of_field("header", "must be the first message of the upload")
    project = ProjectName.parse(first.header.parent, "header.parent")
    return FileHeader.checked(project, first.header.file_name, first.header.sha256)


async def upload_chunks(
    requests: AsyncIterator[import_export_service_pb2.UploadFileRequest],
) -> AsyncIterator[bytes]:
    """The bytes of an upload as they come.

    Raises:
        InvalidArgumentError: if something else comes.
    """
    async for request in requests:
        if request.WhichOneof("part") != "chunk":
            raise InvalidArgumentError.of_field("part", "must be a chunk after the header")
        yield request.chunk


def uploaded_file_to_proto(file: UploadedFile) -> uploaded_file_pb2.UploadedFile:
    """An uploaded file as a client sees it."""
    return uploaded_file_pb2.UploadedFile(
        name=str(file.name),
        file_name=file.file_name,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        create_time=timestamp(file.create_time),
        expire_time=timestamp(file.expire_time),
    )
