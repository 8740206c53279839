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


class Evaluations:
    """Asks about the evaluations of models. `model` is `projects/{project}/models/{model}`.

    Every method raises `SightsmithError` with the reason that the service gave.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = ModelServiceStub(channel)

    def get(self, model: str) -> Evaluation:
        """How good a model is."""
        with calling():
            return self._stub.GetEvaluation(pb.GetEvaluationRequest(name=f"{model}/evaluation"))

    def curves(self, model: str) -> EvaluationCurves:
        """What other thresholds would give, and how far confidences can be taken at their word."""
        with calling():
            return self._stub.GetEvaluationCurves(pb.GetEvaluationCurvesRequest(name=f"{model}/evaluation/curves"))

    def images(
        self,
        model: str,
        label: str = "",
        outcome: Finding.Outcome.ValueType = Finding.OUTCOME_UNSPECIFIED,
        page_size: int = _PAGE_SIZE,
    ) -> Iterator[EvaluatedImage]:
        """The images that a model was judged by, the most confident mistakes first.

        Args:
            model: which one.
            label: only images on which it is there or was predicted.
            outcome: only images on which something, or the label, came out like this.
            page_size: images to fetch at a time, at most 1000.
        """
        wanted = pb.EvaluatedImageFilter(label=label, outcome=outcome)
        return all_pages(
            lambda token: self._stub.ListEvaluatedImages(
                pb.ListEvaluatedImagesRequest(
                    parent=f"{model}/evaluation", page_size=page_size, page_token=token, filter=wanted
                )
            ),
            lambda page: page.evaluated_images,
        )

    def compare(self, baseline: str, candidate: str) -> ModelComparison:
        """How a model compares with another one on the images that both were judged by.

        Args:
            baseline: the model to compare with.
            candidate: the model in question.
        """
        with calling():
            return self._stub.CompareModels(pb.CompareModelsRequest(baseline=baseline, candidate=candidate))
