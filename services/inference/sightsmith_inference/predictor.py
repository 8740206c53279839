"""The data path: images in, labels out, without a call to the database."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from prometheus_client import Counter as Metric
from prometheus_client import Histogram

from sightsmith.errors import (
    DeadlineExceededError,
    FieldViolation,
    InvalidArgumentError,
    NotFoundError,
    SightsmithError,
    UnavailableError,
)
from sightsmith.names import DeploymentName
from sightsmith_inference.decoding import Decoder
from sightsmith_inference.drifting import Drifting
from sightsmith_inference.errors import ModelNotServableError
from sightsmith_inference.findings import Findings, read_findings
from sightsmith_inference.models import Processor, ServableModel
from sightsmith_inference.ranking import Prediction, Wish, choose
from sightsmith_inference.references import FoundImage, ImageReference, References
from sightsmith_inference.releases import LIVE
from sightsmith_inference.room import Room
from sightsmith_inference.routes import Routes
from sightsmith_inference.sampling import Sampler
from sightsmith_inference.sampling_policy import OFF, SamplingPolicy
from sightsmith_inference.settings import InferenceSettings
from sightsmith_inference.shadowing import Shadowing
from sightsmith_inference.tensors import Outputs, Pixels
from sightsmith_inference.together import together
from sightsmith_inference.triton import ModelRunner
from sightsmith_inference.waking import Waking

# How long to wait before Triton is asked again: first, and at last.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 0.5

_images = Metric("sightsmith_inference_images_total", "Images that were answered or refused.", ["outcome"])
_seconds = Histogram("sightsmith_inference_triton_seconds", "Time that Triton took for one request.")

GivenImage = bytes | ImageReference
"""An image as a client gives it: encoded, or where it is."""
LocatedImage = bytes | FoundImage | SightsmithError
"""An image that can be read, or why it cannot."""
NamedImage = tuple[LocatedImage, str]
"""An image with the field that errors name it by."""
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
        waking: Waking,
        references: References,
        room: Room,
        decoder: Decoder,
        triton: ModelRunner,
        sampler: Sampler,
        shadowing: Shadowing,
        drifting: Drifting,
        on_trouble: Callable[[], None],
    ) -> None:
        """Prepares the data path.

        Args:
            settings: its limits.
            routes: which model answers.
            waking: brings deployments back that are idle.
            references: finds images that are not sent along.
            room: bounds the images that are in hand.
            decoder: decodes the images.
            triton: runs the models.
            sampler: keeps predictions for review, where a deployment asks for it.
            shadowing: shows copies to model versions that answer nobody.
            drifting: compares images with those that a model learned from, where a deployment asks for it.
            on_trouble: told when Triton does not answer, as when it was restarted and has lost its models.
        """
        self._settings = settings
        self._routes = routes
        self._waking = waking
        self._references = references
        self._room = room
        self._decoder = decoder
        self._triton = triton
        self._sampler = sampler
        self._shadowing = shadowing
        self._drifting = drifting
        self._on_trouble = on_trouble
        # A GPU takes all images at once; cores each take some, and should end together.
        self._workers = settings.decode_threads if settings.triton_processor is Processor.CPU else 1

    async def predict(
        self,
        deployment: DeploymentName,
        image: GivenImage,
        wish: Wish,
        seconds: float | None,
        *,
        skip_sampling: bool = False,
        alias: str = "",
    ) -> tuple[Answer, tuple[Prediction, ...]]:
        """Answers for one image.

        Args:
            deployment: who is to answer.
            image: the encoded image, or where it is.
            wish: which labels are wanted.
            seconds: how long the answer may take; None for as long as the settings allow.
            skip_sampling: whether nothing is kept for review, whatever the policy of the deployment.
            alias: which of the deployment's model versions is to answer; empty for whichever the traffic falls to.

        Returns:
            Who answered, and the labels.

        Raises:
            InvalidArgumentError: if the wish or the image is not allowed.
            NotFoundError: if there is no such deployment, no such alias of it, or no such image.
            ResourceExhaustedError: if too many images are being worked on.
            UnavailableError: if the deployment, or Triton, does not answer now.
            DeadlineExceededError: if it takes too long.
        """
        raise_if(wish.violations())
        field = "image" if isinstance(image, bytes) else "reference"
        named = [(image, field)]
        answer = await self._answer_located(deployment, named, wish, seconds, skip_sampling=skip_sampling, alias=alias)
        (outcome,) = answer.outcomes
        if isinstance(outcome, SightsmithError):
            raise outcome
        return answer, outcome

    async def predict_batch(
        self,
        deployment: DeploymentName,
        images: Sequence[GivenImage],
        wish: Wish,
        seconds: float | None,
        *,
        skip_sampling: bool = False,
        alias: str = "",
    ) -> Answer:
        """Answers for several images; one that cannot be decoded has an error for its outcome.

        Args and errors are those of `predict`; no images, or too many, are an InvalidArgumentError.
        """
        violations = wish.violations()
        if not 0 < len(images) <= self._settings.max_batch_images:
            limit = f"at least 1 and at most {self._settings.max_batch_images} images, not {len(images)}"
            violations.append(FieldViolation("images", f"must be {limit}"))
        raise_if(violations)
        named = _named(images)
        return await self._answer_located(deployment, named, wish, seconds, skip_sampling=skip_sampling, alias=alias)

    async def _answer_located(
        self,
        deployment: DeploymentName,
        images: Sequence[tuple[GivenImage, str]],
        wish: Wish,
        seconds: float | None,
        *,
        skip_sampling: bool,
        alias: str,
    ) -> Answer:
        begin = time.monotonic()
        located = await self.locate(deployment, images)
        with self._room.take(len(images), sum(size_of(image) for image, _ in located)):
            left = None if seconds is None else seconds - (time.monotonic() - begin)
            return await self.answer(deployment, located, wish, left, skip_sampling=skip_sampling, alias=alias)

    async def locate(
        self, deployment: DeploymentName, images: Sequence[tuple[GivenImage, str]]
    ) -> Sequence[NamedImage]:
        """Finds the images that are not sent along; one that is not there, or not to be seen, has an error instead.

        Raises:
            UnavailableError: if those who know are out of reach.
        """
        references = [(image, field) for image, field in images if isinstance(image, ImageReference)]
        found = iter(await self._references.find(deployment.project, references) if references else ())
        return [(image if isinstance(image, bytes) else next(found), field) for image, field in images]

    async def answer(
        self,
        deployment: DeploymentName,
        images: Sequence[NamedImage],
        wish: Wish,
        seconds: float | None,
        *,
        skip_sampling: bool,
        alias: str = "",
    ) -> Answer:
        """Answers for images for which there is room; one that cannot be decoded has an error for its outcome.

        Args:
            deployment: who is to answer.
            images: at least one.
            wish: which labels are wanted; checked, but for its labels.
            seconds: how long the answer may take; None for as long as the settings allow.
            skip_sampling: whether nothing is kept for review.
            alias: as in `predict`.

        Raises:
            SightsmithError: those of `predict`.
        """
        longest = self._settings.triton_timeout_seconds
        deadline = time.monotonic() + (longest if seconds is None else min(seconds, longest))
        await self._waking.wait(deployment, deadline)
        policy = OFF if skip_sampling else self._routes.sampling(deployment)
        try:
            async with asyncio.timeout_at(deadline):
                answer = await self._answer(deployment, images, wish, deadline, policy, alias)
        except TimeoutError:
            raise DeadlineExceededError(f"{deployment} did not answer in time") from None
        _count(answer.outcomes)
        return answer

    async def _answer(
        self,
        deployment: DeploymentName,
        images: Sequence[NamedImage],
        wish: Wish,
        deadline: float,
        policy: SamplingPolicy,
        alias: str,
    ) -> Answer:
        alias = self._routes.pick(deployment, alias)
        with self._routes.using(deployment, alias) as model:
            raise_if(wish.unknown_labels(model))
            # While Triton works on one chunk, the next ones are decoded; more than a few would only wait in line.
            few = asyncio.Semaphore(self._settings.max_chunks_in_flight)

            async def answer_chunk(chunk: Sequence[NamedImage]) -> list[Outcome]:
                async with few:
                    return await self._answer_chunk(deployment, alias, model, chunk, wish, deadline, policy)

            chunks = await together(map(answer_chunk, chunks_of(images, model.max_batch_size, self._workers)))
        return Answer(model.model, alias, [outcome for chunk in chunks for outcome in chunk])

    async def _answer_chunk(
        self,
        deployment: DeploymentName,
        alias: str,
        model: ServableModel,
        images: Sequence[NamedImage],
        wish: Wish,
        deadline: float,
        policy: SamplingPolicy,
    ) -> list[Outcome]:
        decoded = await together(self._decode(image, model.image_side, field) for image, field in images)
        readable = [image for image in decoded if not isinstance(image, SightsmithError)]
        findings: Sequence[Findings] = ()
        if readable:
            findings = await self._infer(model, np.stack([pixels for _, pixels in readable]), deadline)
            encoded = [data for data, _ in readable]
            self._sampler.offer(policy, deployment, model, encoded, findings)
            self._drifting.offer(policy, deployment, model, encoded, findings)
            if alias == LIVE:
                self._shadowing.offer(policy, deployment, model, encoded, findings)
        found = iter(findings)
        return [image if isinstance(image, SightsmithError) else choose(next(found), model, wish) for image in decoded]

    async def _decode(self, image: LocatedImage, side: int, field: str) -> tuple[bytes, Pixels] | SightsmithError:
        """The encoded image and its pixels."""
        if isinstance(image, SightsmithError):
            return image
        try:
            data = image if isinstance(image, bytes) else await image.read()
            return data, await self._decoder.decode(data, side, field)
        except (InvalidArgumentError, NotFoundError) as error:
            return error

    async def _infer(self, model: ServableModel, pixels: Pixels, deadline: float) -> Sequence[Findings]:
        try:
            return read_findings(model, await self._outputs_of(model, pixels, deadline))
        except ModelNotServableError as error:
            # The deployment was checked, so that its caller may hope for better times.
            raise UnavailableError(error.message, reason=error.reason) from error

    async def _outputs_of(self, model: ServableModel, pixels: Pixels, deadline: float) -> Outputs:
        """Asks Triton, and asks again while it is away: an answer changes nothing, so that none is given twice."""
        give_up = min(deadline, time.monotonic() + self._settings.triton_retry_seconds)
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                with _seconds.time():
                    return await self._triton.infer(model, pixels, max(deadline - time.monotonic(), 0))
            except UnavailableError:
                self._on_trouble()
                if time.monotonic() + pause >= give_up:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def size_of(image: LocatedImage) -> int:
    """How many encoded bytes an image has."""
    if isinstance(image, SightsmithError):
        return 0
    return len(image) if isinstance(image, bytes) else image.size


def _named(images: Sequence[GivenImage]) -> Sequence[tuple[GivenImage, str]]:
    """Images with the fields of a batch that they came in."""
    numbers: Counter[str] = Counter()
    named = []
    for image in images:
        field = "images" if isinstance(image, bytes) else "references"
        named.append((image, f"{field}[{numbers[field]}]"))
        numbers[field] += 1
    return named


def raise_if(violations: Sequence[FieldViolation]) -> None:
    """Raises an InvalidArgumentError that names every violation, if there is one."""
    if violations:
        message = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        raise InvalidArgumentError(message, violations=violations)


def chunks_of(images: Sequence[NamedImage], largest: int, workers: int) -> Iterator[Sequence[NamedImage]]:
    """Cuts images into chunks, smaller and smaller towards the end, so that those who work on them end together.

    Each is a worker's half share of what is left: guided self-scheduling (Polychronopoulos and Kuck, 1987). What fits
    into one chunk stays together: more images may follow it, as in a stream.

    Args:
        images: any number.
        largest: how many one chunk may have, at least 1.
        workers: who work side by side; for one all chunks but the last are as large as they may be.
    """
    begin = 0
    while left := len(images) - begin:
        share = math.ceil(left / (2 * workers)) if workers > 1 and len(images) > largest else left
        size = min(largest, share)
        yield images[begin : begin + size]
        begin += size


def _count(outcomes: Sequence[Outcome]) -> None:
    refused = sum(isinstance(outcome, SightsmithError) for outcome in outcomes)
    _images.labels("refused").inc(refused)
    _images.labels("answered").inc(len(outcomes) - refused)
