"""What a client must know to ask Triton itself."""

from sightsmith.api.inference.v1.prediction_service_pb2 import ServingModel
from sightsmith.names import ServingModelName
from sightsmith_inference.models import ServableModel
from sightsmith_inference.settings import InferenceSettings
from sightsmith_inference.tensors import INPUT

_ANY_NUMBER = -1


def serving_model_to_proto(name: ServingModelName, model: ServableModel, settings: InferenceSettings) -> ServingModel:
    """The model that answers for a deployment, with the tensors that it takes and gives."""
    side = model.image_side
    return ServingModel(
        name=str(name),
        model=model.model,
        triton_model=model.triton_model,
        grpc_target=settings.triton_public_target,
        http_url=settings.triton_public_url,
        input=ServingModel.Tensor(name=INPUT, datatype="UINT8", shape=(_ANY_NUMBER, side, side, 3)),
        outputs=[
            ServingModel.Tensor(name=output.name, datatype=output.datatype, shape=(_ANY_NUMBER, *output.shape))
            for output in model.outputs
        ],
        max_batch_size=model.max_batch_size,
        labels=model.labels,
        thresholds=model.thresholds or (),
    )
