"""The data path: images in, labels out, without a call to the database."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from prometheus_client import Counter, Histogram

from sightsmith.errors import FieldViolation, InvalidArgumentError, SightsmithError, UnavailableError
from sightsmith.names import DeploymentName
from sightsmith_inference.decoding import Decoder
from sightsmith_inference.errors import ModelNotServableError
from sightsmith_inference.findings import Findings, read_findings
from sightsmith_inference.models import ServableModel
from sightsmith_inference.ranking import Prediction, Wish, choose
from sightsmith_inference.releases import LIVE
from sightsmith_inference.routes import Routes
from sightsmith_inference.sampling import OFF, Sampler, SamplingPolicy
from sightsmith_inference.settings import InferenceSettings
from sightsmith_inference.shadowing import Shadowing
from sightsmith_inference.tensors import Pixels
from sightsmith_inference.together import together
from sightsmith_inference.triton import Triton

_images = Counter("sightsmith_inference_images_total", "Images that were answered or refused.", ["outcome"])
_seconds = Histogram("sightsmith_inference_triton_seconds", "Time that Triton took for one request.")

# What became of one image: its labels, or why there are none.
Outcome = tuple[Prediction, ...] | SightsmithError


@dataclass(frozen=True)
class Answer:
    """What is in some images.

    Attributes:
        model: the model that answered.
        alias: under which it answered.
        outcomes: one for each image, in their order.
    """

    model: str
    alias: str
    outcomes: Sequence[Outcome]


class Predictor:
    """Answers what is in images."""

    def __init__(
        self,
        settings: InferenceSettings,
        routes: Routes,
        decoder: Decoder,
        triton: Triton,
        sampler: Sampler,
        shadowing: Shadowing,
        on_trouble: Callable[[], None],
    ) -> None:
        """Prepares the data path.

        Args:
            settings: its limits.
            routes: which model answers.
            decoder: decodes the images.
            triton: runs the models.
            sampler: keeps predictions for review, where a deployment asks for it.
            shadowing: shows copies to model versions that answer nobody.
            on_trouble: told when Triton does not answer, as when it was restarted and has lost its models.
        """
        self._settings = settings
        self._routes = routes
        self._decoder = decoder
        self._triton = triton
        self._sampler = sampler
        self._shadowing = shadowing
        self._on_trouble = on_trouble

    async def predict(
        self, deployment: DeploymentName, image: bytes, wish: Wish, seconds: float | None, *, alias: str = ""
    ) -> tuple[Answer, tuple[Prediction, ...]]:
        """Answers for one image.

        Args:
            deployment: who is to answer.
            image: the encoded image.
            wish: which labels are wanted.
            seconds: how long the answer may take; None for as long as the settings allow.
            alias: which of the deployment's model versions is to answer; empty for whichever the traffic falls to.

        Returns:
            Who answered, and the labels.

        Raises:
            InvalidArgumentError: if the wish or the image is not allowed.
            NotFoundError: if there is no such deployment, or no such alias of it.
            ResourceExhaustedError: if too many images are being worked on.
            UnavailableError: if the deployment, or Triton, does not answer now.
        """
        _raise_if(wish.violations())
        policy = self._routes.sampling(deployment)
        answer = await self._answer(deployment, [(image, "image")], wish, seconds, policy, alias)
        (outcome,) = answer.outcomes
        if isinstance(outcome, SightsmithError):
            raise outcome
        return answer, outcome

    async def predict_batch(
        self,
        deployment: DeploymentName,
        images: Sequence[bytes],
        wish: Wish,
        seconds: float | None,
        *,
        skip_sampling: bool = False,
        alias: str = "",
    ) -> Answer:
        """Answers for several images; one that cannot be decoded has an error for its outcome.

        Args and errors are those of `predict`; too many images are an InvalidArgumentError. With `skip_sampling`,
        nothing is kept for review, whatever the policy of the deployment.
        """
        violations = wish.violations()
        if len(images) > self._settings.max_batch_images:
            limit = f"at most {self._settings.max_batch_images} images, not {len(images)}"
            violations.append(FieldViolation("images", f"must be {limit}"))
        _raise_if(violations)
        named = [(image, f"images[{index}]") for index, image in enumerate(images)]
        policy = OFF if skip_sampling else self._routes.sampling(deployment)
        return await self._answer(deployment, named, wish, seconds, policy, alias)

    async def _answer(
        self,
        deployment: DeploymentName,
        images: Sequence[tuple[bytes, str]],
        wish: Wish,
        seconds: float | None,
        policy: SamplingPolicy,
        alias: str,
    ) -> Answer:
        longest = self._settings.triton_timeout_seconds
        deadline = time.monotonic() + (longest if seconds is None else min(seconds, longest))
        alias = self._routes.pick(deployment, alias)
        with self._routes.using(deployment, alias) as model, self._decoder.room_for(len(images)):
            # While Triton works on one chunk, the next ones are decoded; more than a few would only wait in line.
            few = asyncio.Semaphore(self._settings.max_chunks_in_flight)

            async def answer_chunk(chunk: Sequence[tuple[bytes, str]]) -> list[Outcome]:
                async with few:
                    return await self._answer_chunk(deployment, alias, model, chunk, wish, deadline, policy)

            chunks = await together(answer_chunk(chunk) for chunk in _chunks(images, model.max_batch_size))
        outcomes = [outcome for chunk in chunks for outcome in chunk]
        _count(outcomes)
        return Answer(model.model, alias, outcomes)

    async def _answer_chunk(
        self,
        deployment: DeploymentName,
        alias: str,
        model: ServableModel,
        images: Sequence[tuple[bytes, str]],
        wish: Wish,
        deadline: float,
        policy: SamplingPolicy,
    ) -> list[Outcome]:
        decoded = await together(self._decode(image, model.image_side, field) for image, field in images)
        pixels = [square for square in decoded if not isinstance(square, SightsmithError)]
        findings: Sequence[Findings] = ()
        if pixels:
            findings = await self._infer(model, np.stack(pixels), deadline)
            readable = [image for (image, _), found in zip(images, decoded, strict=True) if _is_readable(found)]
            self._sampler.offer(policy, deployment, model, readable, findings)
            if alias == LIVE:
                self._shadowing.offer(deployment, model, readable, findings)
        found = iter(findings)
        return [
            square if isinstance(square, SightsmithError) else choose(next(found), model, wish) for square in decoded
        ]

    async def _decode(self, image: bytes, side: int, field: str) -> Pixels | SightsmithError:
        try:
            return await self._decoder.decode(image, side, field)
        except InvalidArgumentError as error:
            return error

    async def _infer(self, model: ServableModel, pixels: Pixels, deadline: float) -> Sequence[Findings]:
        try:
            with _seconds.time():
                outputs = await self._triton.infer(model, pixels, max(deadline - time.monotonic(), 0))
            return read_findings(model, outputs)
        except UnavailableError:
            self._on_trouble()
            raise
        except ModelNotServableError as error:
            # The deployment was checked, so that its caller may hope for better times.
            raise UnavailableError(error.message, reason=error.reason) from error


def _is_readable(decoded: Pixels | SightsmithError) -> bool:
    return not isinstance(decoded, SightsmithError)


def _raise_if(violations: Sequence[FieldViolation]) -> None:
    if violations:
        message = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        raise InvalidArgumentError(message, violations=violations)


def _chunks(images: Sequence[tuple[bytes, str]], size: int) -> Iterator[Sequence[tuple[bytes, str]]]:
    return (images[begin : begin + size] for begin in range(0, len(images), size))


def _count(outcomes: Sequence[Outcome]) -> None:
    refused = sum(isinstance(outcome, SightsmithError) for outcome in outcomes)
    _images.labels("refused").inc(refused)
    _images.labels("answered").inc(len(outcomes) - refused)
