"""The check on stored images: before a model gets traffic, it must say what its training recorded."""

from collections.abc import Sequence

import numpy as np

from sightsmith.errors import InvalidArgumentError
from sightsmith.logs import get_logger
from sightsmith.objects import Objects, image_key
from sightsmith_inference.answer_differences import difference, may_differ
from sightsmith_inference.decoding import Decoder
from sightsmith_inference.errors import CheckFailedError
from sightsmith_inference.findings import Findings, read_findings
from sightsmith_inference.models import ServableModel
from sightsmith_inference.recorded_answers import RecordedAnswer, RecordedAnswers
from sightsmith_inference.tensors import Pixels
from sightsmith_inference.triton import ModelRunner

_log = get_logger(__name__)


class ImageCheck:
    """Sends stored images the way that predictions go, and compares what comes out with what was recorded."""

    def __init__(self, recorded: RecordedAnswers, objects: Objects, decoder: Decoder, triton: ModelRunner) -> None:
        self._recorded = recorded
        self._objects = objects
        self._decoder = decoder
        self._triton = triton

    async def check(self, model: ServableModel, timeout_seconds: float) -> None:
        """Has a loaded model answer for the stored images of its evaluation that are still there.

        Args:
            model: is loaded.
            timeout_seconds: how long Triton may take for a batch.

        Raises:
            CheckFailedError: if it says something else of an image; names the image.
            UnavailableError: if a server that is needed cannot be reached.
        """
        recorded = [(answer, await self._pixels(answer, model)) for answer in await self._recorded.of(model.model)]
        there = [(answer, pixels) for answer, pixels in recorded if pixels is not None]
        findings = await self._answer(model, [pixels for _, pixels in there], timeout_seconds)
        problems = [
            f"{answer.image}: {problem}"
            for (answer, _), found in zip(there, findings, strict=True)
            if (problem := difference(model, answer, found)) is not None
        ]
        if len(problems) > may_differ(model.runtime, len(there)):
            raise CheckFailedError(
                f"{model.triton_model} answers {len(problems)} of {len(there)} stored images otherwise than its "
                f"training recorded; {problems[0]}"
            )
        _log.info("model checked", triton_model=model.triton_model, images=len(there), differing=len(problems))

    async def _answer(
        self, model: ServableModel, images: Sequence[Pixels], timeout_seconds: float
    ) -> Sequence[Findings]:
        """The first image alone, the others in full batches."""
        findings: list[Findings] = []
        start, size = 0, 1
        while batch := images[start : start + size]:
            findings += read_findings(model, await self._triton.infer(model, np.stack(batch), timeout_seconds))
            start, size = start + size, model.max_batch_size
        return findings

    async def _pixels(self, answer: RecordedAnswer, model: ServableModel) -> Pixels | None:
        """An image as the model sees it; None if it is gone, or no image within the limits that hold now."""
        try:
            data = await self._objects.get(image_key(answer.sha256))
            return await self._decoder.decode(data, model.image_side, answer.image)
        except (FileNotFoundError, InvalidArgumentError) as error:
            _log.info("a stored image is left out of the check", image=answer.image, error=str(error))
            return None
