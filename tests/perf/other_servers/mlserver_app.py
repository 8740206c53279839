"""MLServer: an image as a tensor of bytes by gRPC, scores as a tensor (KServe v2)."""

from typing import Any

import mlserver
from mlserver.codecs import NumpyCodec

from tests.perf.other_servers.given_model import open_model


class Classifier(mlserver.MLModel):  # type: ignore[misc]  # the package is not there when types are checked
    """Scores an image."""

    async def load(self) -> bool:
        """Opens the model, once in each worker."""
        self._model = open_model()
        return True

    async def predict(self, payload: Any) -> Any:
        """The scores."""
        (image,) = payload.inputs[0].data
        output = NumpyCodec.encode_output("scores", self._model.answer([image]))
        return mlserver.types.InferenceResponse(model_name=self.name, outputs=[output])
