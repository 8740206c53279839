"""Uploading labelled images from files, without holding more than one chunk in memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sightsmith.api.labeling.v1.labeling_service_pb2 import UploadImagesRequest
from sightsmith.objects import CHUNK_BYTES


@dataclass(frozen=True)
class ImageToUpload:
    """An image file with its labels. `source` is what the image will be recognised by in reports."""

    path: Path
    source: str
    labels: Sequence[str]


def upload_requests(
    dataset: str, images: Iterable[ImageToUpload], on_unreadable: Callable[[ImageToUpload, OSError], None]
) -> Iterator[UploadImagesRequest]:
    """The messages of an upload.

    Args:
        dataset: `projects/{project}/datasets/{dataset}`.
        images: what to upload, read when its turn comes.
        on_unreadable: told of a file that cannot be opened; the others go on.
    """
    yield UploadImagesRequest(parent=dataset)
    for image in images:
        try:
            file = image.path.open("rb")
        except OSError as error:
            on_unreadable(image, error)
            continue
        with file:
            yield UploadImagesRequest(header=UploadImagesRequest.Header(source=image.source, labels=image.labels))
            while chunk := file.read(CHUNK_BYTES):
                yield UploadImagesRequest(chunk=chunk)
