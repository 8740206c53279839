"""How good models are, and why."""

from collections.abc import Iterator

import grpc

from sightsmith.api.training.v1 import model_service_pb2 as pb
from sightsmith.api.training.v1.evaluation_curves_pb2 import EvaluationCurves
from sightsmith.api.training.v1.evaluation_pb2 import EvaluatedImage, Evaluation
from sightsmith.api.training.v1.finding_pb2 import Finding
from sightsmith.api.training.v1.model_comparison_pb2 import ModelComparison
from sightsmith.api.training.v1.model_service_pb2_grpc import ModelServiceStub
from sightsmith.client.calls import all_pages, calling

_PAGE_SIZE = 1000
_OTHER = "/evaluations/"


class Evaluations:
    """Asks about the evaluations of models.

    `name` is that of a model, `projects/{project}/models/{model}`, for its own evaluation, or that of one by other
    images, `projects/{project}/models/{model}/evaluations/{evaluation}`, which came of one of the `EvaluationJobs`.

    Every method raises `SightsmithError` with the reason that the service gave.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = ModelServiceStub(channel)

    def get(self, name: str) -> Evaluation:
        """How good a model is."""
        with calling():
            return self._stub.GetEvaluation(pb.GetEvaluationRequest(name=evaluation_name(name)))

    def curves(self, name: str) -> EvaluationCurves:
        """What other thresholds would give, and how far confidences can be taken at their word."""
        with calling():
            request = pb.GetEvaluationCurvesRequest(name=f"{evaluation_name(name)}/curves")
            return self._stub.GetEvaluationCurves(request)

    def images(
        self,
        name: str,
        label: str = "",
        outcome: Finding.Outcome.ValueType = Finding.OUTCOME_UNSPECIFIED,
        page_size: int = _PAGE_SIZE,
    ) -> Iterator[EvaluatedImage]:
        """The images that a model was judged by, the most confident mistakes first.

        Args:
            name: of the model or of one of its evaluations.
            label: only images on which it is there or was predicted.
            outcome: only images on which something, or the label, came out like this.
            page_size: images to fetch at a time, at most 1000.
        """
        wanted = pb.EvaluatedImageFilter(label=label, outcome=outcome)
        return all_pages(
            lambda token: self._stub.ListEvaluatedImages(
                pb.ListEvaluatedImagesRequest(
                    parent=evaluation_name(name), page_size=page_size, page_token=token, filter=wanted
                )
            ),
            lambda page: page.evaluated_images,
        )

    def compare(self, baseline: str, candidate: str) -> ModelComparison:
        """How a model compares with another one on the images that both were judged by.

        Args:
            baseline: the model to compare with, or one of its evaluations.
            candidate: the model in question, or one of its evaluations.
        """
        request = pb.CompareModelsRequest(
            baseline=_model_of(baseline),
            candidate=_model_of(candidate),
            baseline_evaluation=evaluation_name(baseline),
            candidate_evaluation=evaluation_name(candidate),
        )
        with calling():
            return self._stub.CompareModels(request)


def evaluation_name(name: str) -> str:
    """The name of an evaluation, given that or the name of a model, which stands for its own one."""
    return name if _OTHER in name else f"{name}/evaluation"


def _model_of(name: str) -> str:
    return name.partition(_OTHER)[0]
