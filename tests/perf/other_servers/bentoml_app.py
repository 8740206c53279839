"""BentoML: an image as a file of a form, scores as JSON."""

from pathlib import Path

import bentoml

from tests.perf.other_servers.given_model import CORES, open_model


@bentoml.service(workers=CORES)
class Classifier:
    """Scores an image."""

    def __init__(self) -> None:
        self._model = open_model()

    @bentoml.api  # type: ignore[untyped-decorator]  # the package is not there when types are checked
    def predict(self, image: Path) -> list[float]:
        """The scores."""
        scores: list[float] = self._model.answer([image.read_bytes()])[0].tolist()
        return scores
