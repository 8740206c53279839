"""LitServe: images in base64 within JSON, as its queue takes nothing that cannot be pickled. Argument: the port."""

import base64
import sys

import litserve

from tests.perf.ceiling import InProcess
from tests.perf.other_servers.given_model import CORES, open_model


class Classifier(litserve.LitAPI):  # type: ignore[misc]  # the package is not there when types are checked
    """Scores an image."""

    def setup(self, device: str) -> None:
        """Opens the model, once in each worker."""
        self._model: InProcess = open_model()

    def decode_request(self, request: dict[str, str]) -> bytes:
        """The encoded image."""
        return base64.b64decode(request["image"])

    def predict(self, image: bytes) -> list[float]:
        """The scores."""
        scores: list[float] = self._model.answer([image])[0].tolist()
        return scores

    def encode_response(self, scores: list[float]) -> dict[str, list[float]]:
        """The answer."""
        return {"scores": scores}


if __name__ == "__main__":
    server = litserve.LitServer(Classifier(), accelerator="cpu", workers_per_device=CORES)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", generate_client_file=False)
