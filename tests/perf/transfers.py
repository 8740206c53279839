"""Figures of imports and exports: 100,000 images by reference, with labels and boxes mixed."""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sightsmith.api.labeling.v1 import annotation_format_pb2 as formats
from sightsmith.api.labeling.v1.export_job_pb2 import ExportJob
from sightsmith.api.labeling.v1.import_job_pb2 import ImportJob
from sightsmith.client import Client
from sightsmith.client.transfers import require_success
from sightsmith.stack import Stack
from tests.perf.figures import Measured
from tests.perf.progress import tell
from tests.perf.workplace import connection_of, new_stack

_IMAGES = 100_000
_LABELS = 80
_MEBIBYTE = 1024 * 1024
_COMMON = {"human-annotated": "yes", "creation-date": "2026-01-05T10:00:00", "job-name": "bench"}


def measure() -> Measured:
    """Imports a manifest and a COCO file, exports the manifest again, and looks how much memory the worker took."""
    with tempfile.TemporaryDirectory(prefix="sightsmith-bench-transfers-") as folder, new_stack() as stack:
        tell(f"writing files of {_IMAGES} images")
        manifest, coco = Path(folder) / "bench.manifest", Path(folder) / "bench.json"
        _write_manifest(manifest)
        _write_coco(coco)
        with stack, Client(connection_of(stack.endpoints)) as client:
            return {
                "labeling.manifest_import_100k_seconds": _seconds_of(lambda: _import(client, "manifest", manifest)),
                "labeling.manifest_export_100k_seconds": _seconds_of(lambda: _export(client, "manifest")),
                "labeling.coco_import_100k_seconds": _seconds_of(lambda: _import(client, "coco", coco)),
                "labeling.import_peak_mib": _peak_mib(stack),
            }


def _seconds_of(work: Callable[[], None]) -> float:
    begin = time.monotonic()
    work()
    return time.monotonic() - begin


def _import(client: Client, project: str, path: Path) -> None:
    """Uploads a file and imports it, to the end of the job."""
    tell(f"importing {path.name}")
    name = client.ensure_project(project).name
    file = client.transfers.upload(name, path)
    job = client.transfers.begin_import(name, ImportJob(uploaded_file=file.name))
    for change in client.transfers.watch_import(job.name):
        job = change
    require_success(job)
    if job.result.created_count != _IMAGES:
        raise RuntimeError(f"only {job.result.created_count} of {_IMAGES} images were imported")


def _export(client: Client, project: str) -> None:
    tell("exporting")
    name = client.project(project).name
    job = client.transfers.begin_export(name, ExportJob(format=formats.ANNOTATION_FORMAT_GROUND_TRUTH))
    for change in client.transfers.watch_export(job.name):
        job = change
    require_success(job)
    if job.result.image_count != _IMAGES:
        raise RuntimeError(f"only {job.result.image_count} of {_IMAGES} images were exported")


def _peak_mib(stack: Stack) -> float:
    """Largest resident memory that the labeling worker ever had (`VmHWM`)."""
    status = Path(f"/proc/{stack.pid('labeling-worker')}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / _MEBIBYTE


def _write_manifest(path: Path) -> None:
    with path.open("w") as file:
        for number in range(_IMAGES):
            file.write(f"{json.dumps(_manifest_line(number))}\n")


def _manifest_line(number: int) -> dict[str, object]:
    """Every third image has a label, the others one to three boxes."""
    source = f"s3://bench/images/{number // 1000:03}/{number:06}.jpg"
    if number % 3 == 0:
        kind = {"class-name": _label(number), "confidence": 1, "type": "groundtruth/image-classification"}
        return {"source-ref": source, "kind": 0, "kind-metadata": {**kind, **_COMMON}}
    boxes = _boxes(number)
    return {
        "source-ref": source,
        "bb": {
            "image_size": [{"width": 640, "height": 480, "depth": 3}],
            "annotations": [
                {"class_id": place, "left": left, "top": top, "width": width, "height": height}
                for place, (left, top, width, height) in enumerate(boxes)
            ],
        },
        "bb-metadata": {
            "objects": [{"confidence": 1} for _ in boxes],
            "class-map": {str(place): _label(number + place) for place in range(len(boxes))},
            "type": "groundtruth/object-detection",
            **_COMMON,
        },
    }


def _write_coco(path: Path) -> None:
    images = [
        {"id": number, "file_name": f"s3://bench/coco/{number:06}.jpg", "width": 640, "height": 480}
        for number in range(_IMAGES)
    ]
    boxes = ((number, place, box) for number in range(_IMAGES) for place, box in enumerate(_boxes(number)))
    annotations = [
        {"id": at, "image_id": number, "category_id": (number + place) % _LABELS, "bbox": box, "iscrowd": 0}
        for at, (number, place, box) in enumerate(boxes)
    ]
    categories = [{"id": number, "name": _label(number)} for number in range(_LABELS)]
    with path.open("w") as file:
        json.dump({"images": images, "annotations": annotations, "categories": categories}, file)


def _boxes(number: int) -> list[tuple[int, int, int, int]]:
    return [(number % 300 + 10 * place, number % 200, 50 + place, 40 + number % 7) for place in range(number % 3)]


def _label(number: int) -> str:
    return f"label {number % _LABELS:02}"
