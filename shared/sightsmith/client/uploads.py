"""Uploading labelled images from files, without holding more than one chunk in memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sightsmith.api.labeling.v1.annotation_pb2 import Annotation
from sightsmith.api.labeling.v1.labeling_service_pb2 import UploadImagesRequest
from sightsmith.objects import CHUNK_BYTES


@dataclass(frozen=True)
class ImageToUpload:
    """An image file with what is annotated on it. `source` is what the image will be recognised by in reports.

    Attributes:
        labels: of the whole image.
        annotations: boxes, and labels of the whole image whose maker is to be told.
    """

    path: Path
    source: str
    labels: Sequence[str] = ()
    annotations: Sequence[Annotation] = ()


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
            header = UploadImagesRequest.Header(
                source=image.source,
                labels=image.labels,
                annotations=image.annotations,
                data=file.read(CHUNK_BYTES),
            )
            yield UploadImagesRequest(header=header)
            while chunk := file.read(CHUNK_BYTES):
                yield UploadImagesRequest(chunk=chunk)
