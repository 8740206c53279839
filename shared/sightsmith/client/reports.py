"""What tells people of a training: files and pictures."""

from collections.abc import Iterator
from pathlib import Path

import grpc

from sightsmith.api.training.v1 import report_service_pb2 as pb
from sightsmith.api.training.v1.report_file_pb2 import ReportFile
from sightsmith.api.training.v1.report_service_pb2_grpc import ReportServiceStub
from sightsmith.client.calls import calling
from sightsmith.client.evaluations import evaluation_name
from sightsmith.client.file_download import OnBytes, download_file


class Reports:
    """Gets the reports of models, `projects/{project}/models/{model}`, and of trainings that failed.

    Every method raises `SightsmithError` with the reason that the service gave.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = ReportServiceStub(channel)

    def download(self, name: str, file: ReportFile, target: Path, on_bytes: OnBytes | None = None) -> None:
        """Writes a file of a report, which is there only if it is whole.

        Args:
            name: whose report it is: the name of a model, or of a training job.
            file: one of its `report_files`.
            target: the file to write; its folder must be there.
            on_bytes: told of the bytes as they come.

        Raises:
            OSError: if the file cannot be written.
        """

        def chunks(offset: int) -> Iterator[bytes]:
            request = pb.DownloadReportFileRequest(name=name, path=file.path, offset=offset)
            return (part.chunk for part in self._stub.DownloadReportFile(request))

        download_file(target, file.sha256, file.size_bytes, chunks, on_bytes)

    def draw(self, name: str, image: str) -> bytes:
        """A judged image with what is labelled and what is predicted drawn on it, by the thresholds of now.

        Args:
            name: of the model that was judged, or of one of its evaluations by other images.
            image: resource name of the image, as the evaluation lists it.

        Returns:
            A PNG.
        """
        with calling():
            request = pb.DrawEvaluatedImageRequest(parent=evaluation_name(name), image=image)
            return self._stub.DrawEvaluatedImage(request).png
