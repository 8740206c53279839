"""Imports and exports as tests ask for them."""

import io
import json
import zipfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from grpc import aio

from sightsmith.api.labeling.v1 import annotation_format_pb2 as formats
from sightsmith.api.labeling.v1 import import_export_service_pb2 as pb
from sightsmith.api.labeling.v1 import job_pb2
from sightsmith.api.labeling.v1.export_job_pb2 import ExportJob
from sightsmith.api.labeling.v1.image_pb2 import Image
from sightsmith.api.labeling.v1.import_export_service_pb2_grpc import ImportExportServiceStub
from sightsmith.api.labeling.v1.import_job_pb2 import ImportJob
from sightsmith.api.labeling.v1.job_pb2 import JobFinding
from sightsmith.api.labeling.v1.labeling_service_pb2 import ListImagesRequest
from sightsmith.api.labeling.v1.uploaded_file_pb2 import UploadedFile

from .labeling_client import LabelingClient

SUCCEEDED = job_pb2.JOB_STATE_SUCCEEDED
FAILED = job_pb2.JOB_STATE_FAILED
CANCELLED = job_pb2.JOB_STATE_CANCELLED
FINAL = (SUCCEEDED, FAILED, CANCELLED)
CHUNK = 256 * 1024


class TransferClient:
    """Calls ImportExportService."""

    def __init__(self, client: LabelingClient) -> None:
        self.labeling = client
        self.stub = ImportExportServiceStub(client.channel)
        self.metadata = client.metadata

    async def upload(self, project: str, file_name: str, data: bytes, sha256: str = "") -> UploadedFile:
        async def requests() -> AsyncIterator[pb.UploadFileRequest]:
            yield pb.UploadFileRequest(
                header=pb.UploadFileRequest.Header(parent=project, file_name=file_name, sha256=sha256)
            )
            for begin in range(0, len(data), CHUNK):
                yield pb.UploadFileRequest(chunk=data[begin : begin + CHUNK])

        return await self.stub.UploadFile(requests(), metadata=self.metadata)

    async def begin_import(self, project: str, request_id: str = "", **fields: Any) -> ImportJob:
        request = pb.CreateImportJobRequest(parent=project, import_job=ImportJob(**fields), request_id=request_id)
        return await self.stub.CreateImportJob(request, metadata=self.metadata)

    async def import_bytes(self, project: str, file_name: str, data: bytes, **fields: Any) -> ImportJob:
        """Uploads a file, imports it, and returns the job as it ended."""
        file = await self.upload(project, file_name, data)
        return await self.ended(await self.begin_import(project, uploaded_file=file.name, **fields))

    async def ended(self, job: ImportJob) -> ImportJob:
        last = job
        async for change in self.stub.WatchImportJob(
            pb.WatchImportJobRequest(name=job.name), metadata=self.metadata, timeout=60
        ):
            last = change.import_job if change.HasField("import_job") else last
        assert last.state in FINAL
        return last

    async def findings(self, job: ImportJob) -> list[JobFinding]:
        request = pb.ListImportFindingsRequest(parent=job.name, page_size=1000)
        return list((await self.stub.ListImportFindings(request, metadata=self.metadata)).findings)

    async def report(self, job: ImportJob) -> list[Mapping[str, Any]]:
        call = self.stub.DownloadImportReport(pb.DownloadImportReportRequest(name=job.name), metadata=self.metadata)
        data = b"".join([part.chunk async for part in call])
        return [json.loads(line) for line in data.splitlines()]

    async def export(self, project: str, format_: formats.AnnotationFormat.ValueType, **fields: Any) -> ExportJob:
        """Exports, and returns the job as it ended."""
        request = pb.CreateExportJobRequest(parent=project, export_job=ExportJob(format=format_, **fields))
        last = await self.stub.CreateExportJob(request, metadata=self.metadata)
        async for change in self.stub.WatchExportJob(
            pb.WatchExportJobRequest(name=last.name), metadata=self.metadata, timeout=60
        ):
            last = change.export_job if change.HasField("export_job") else last
        assert last.state in FINAL
        return last

    async def archive(self, job: ExportJob) -> bytes:
        call: aio.UnaryStreamCall[Any, Any] = self.stub.DownloadExport(
            pb.DownloadExportRequest(name=job.name), metadata=self.metadata
        )
        return b"".join([part.chunk async for part in call])

    async def images(self, dataset: str) -> list[Image]:
        found: list[Image] = []
        token = ""
        while True:
            request = ListImagesRequest(parent=dataset, page_size=1000, page_token=token)
            page = await self.labeling.stub.ListImages(request, metadata=self.metadata)
            found += page.images
            token = page.next_page_token
            if not token:
                return found


def manifest_line(source: str, *labels: str, boxes: Sequence[tuple[str, float, float, float, float]] = ()) -> str:
    """A line of a Ground Truth manifest."""
    line: dict[str, Any] = {"source-ref": source}
    common = {"human-annotated": "yes", "creation-date": "2026-01-05T10:00:00", "job-name": "labels"}
    for number, label in enumerate(labels):
        line[f"label{number}"] = number
        line[f"label{number}-metadata"] = {
            **common,
            "class-name": label,
            "confidence": 1,
            "type": "groundtruth/image-classification",
        }
    if boxes:
        classes = sorted({label for label, *_ in boxes})
        line["bb"] = {
            "image_size": [{"width": 640, "height": 480, "depth": 3}],
            "annotations": [
                {"class_id": classes.index(label), "left": left, "top": top, "width": width, "height": height}
                for label, left, top, width, height in boxes
            ],
        }
        line["bb-metadata"] = {
            **common,
            "objects": [{"confidence": 1} for _ in boxes],
            "class-map": {str(number): label for number, label in enumerate(classes)},
            "type": "groundtruth/object-detection",
        }
    return json.dumps(line)


def manifest(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def labels_of(images: Iterable[Image]) -> dict[str, list[str]]:
    return {image.source: list(image.labels) for image in images}


def boxes_of(image: Image) -> list[tuple[str, float, float, float, float]]:
    return [
        (made.label, made.box.left, made.box.top, made.box.width, made.box.height)
        for made in image.annotations
        if made.HasField("box")
    ]


def counts(job: ImportJob) -> dict[str, int]:
    """What an import says it did."""
    result = job.result
    return {
        "read": result.read_count,
        "created": result.created_count,
        "updated": result.updated_count,
        "unchanged": result.unchanged_count,
        "rejected": result.rejected_count,
        "problems": result.problem_count,
    }


def count(**numbers: int) -> dict[str, int]:
    """These counts; the others are 0."""
    names = ("read", "created", "updated", "unchanged", "rejected", "problems")
    return {**dict.fromkeys(names, 0), **numbers}
