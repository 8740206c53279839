"""`ReportService` of the API."""

from collections.abc import AsyncIterator

from sightsmith.api.training.v1 import report_service_pb2 as api
from sightsmith.api.training.v1 import report_service_pb2_grpc as services
from sightsmith.names import EvaluationName, ModelName, TrainingJobName
from sightsmith.rpc import Context
from sightsmith_training.convert import report_file_message
from sightsmith_training.evaluated_image_drawing import EvaluatedImageDrawing
from sightsmith_training.model_files import ModelFiles


class ReportServicer(services.ReportServiceServicer):
    """Parses, calls, converts."""

    def __init__(self, files: ModelFiles, drawing: EvaluatedImageDrawing) -> None:
        self._files = files
        self._drawing = drawing

    async def DownloadReportFile(
        self, request: api.DownloadReportFileRequest, context: Context
    ) -> AsyncIterator[api.DownloadReportFileResponse]:
        file = await self._files.find_of_report(_owner(request.name), request.path, request.offset)
        yield api.DownloadReportFileResponse(report_file=report_file_message(file))
        async for chunk in self._files.read(file, request.offset):
            yield api.DownloadReportFileResponse(chunk=chunk)

    async def DrawEvaluatedImage(
        self, request: api.DrawEvaluatedImageRequest, context: Context
    ) -> api.DrawEvaluatedImageResponse:
        name = EvaluationName.parse(request.parent, "parent")
        png = await self._drawing.draw(name, request.image)
        return api.DrawEvaluatedImageResponse(png=png)


def _owner(name: str) -> ModelName | TrainingJobName:
    """What a report tells of."""
    return TrainingJobName.parse(name) if "/trainingJobs/" in name else ModelName.parse(name)
