"""Shadow traffic: model versions that see copies of what the live model sees, and answer nobody."""

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from prometheus_client import Counter, Histogram

from sightsmith.api.events.v1.event_pb2 import PredictionSampled
from sightsmith.errors import SightsmithError, UnavailableError
from sightsmith.logs import get_logger
from sightsmith.names import DeploymentName
from sightsmith_inference.decoding import Decoder
from sightsmith_inference.deployments import Deployments
from sightsmith_inference.findings import Findings, read_findings
from sightsmith_inference.models import ServableModel
from sightsmith_inference.ranking import Wish, choose
from sightsmith_inference.releases import ShadowFigures, Target
from sightsmith_inference.room import Room
from sightsmith_inference.routes import Routes
from sightsmith_inference.sampling import Sampler
from sightsmith_inference.sampling_policy import Pick, SamplingPolicy
from sightsmith_inference.settings import InferenceSettings
from sightsmith_inference.triton import ModelRunner

# While callers wait for answers, shadows get an image so often at most: enough to be judged, too little to be felt.
_PATIENCE_SECONDS = 0.1
# What each model answers by its own rule.
_OWN_RULE = Wish()
_LABELS = ["deployment", "alias"]
_images = Counter("sightsmith_inference_shadow_images_total", "Images for shadows.", [*_LABELS, "outcome"])
_seconds = Histogram("sightsmith_inference_shadow_seconds", "Time that Triton took for an image of a shadow.", _LABELS)
_log = get_logger(__name__)


@dataclass(frozen=True)
class _Copy:
    """An image for a shadow, and what the live model said of it."""

    deployment: DeploymentName
    key: tuple[uuid.UUID, int, str]
    target: Target
    image: bytes
    policy: SamplingPolicy
    model: ServableModel
    found: Findings


class Shadowing:
    """Takes copies from the data path without making it wait, and works on one at a time.

    What waits is bounded; copies that find no room are dropped and counted.
    """

    def __init__(
        self,
        settings: InferenceSettings,
        deployments: Deployments,
        routes: Routes,
        room: Room,
        decoder: Decoder,
        triton: ModelRunner,
        sampler: Sampler,
    ) -> None:
        self._settings = settings
        self._deployments = deployments
        self._routes = routes
        self._room = room
        self._decoder = decoder
        self._triton = triton
        self._sampler = sampler
        self._waiting: asyncio.Queue[_Copy] = asyncio.Queue()
        self._waiting_bytes = 0
        self._random = Random()  # noqa: S311 - nothing secret hangs on it
        self._counted: defaultdict[tuple[uuid.UUID, int, str], ShadowFigures] = defaultdict(ShadowFigures)

    def offer(
        self,
        policy: SamplingPolicy,
        name: DeploymentName,
        model: ServableModel,
        images: Sequence[bytes],
        findings: Sequence[Findings],
    ) -> None:
        """Copies images that the live model has answered, as its shadows ask for. Returns at once.

        Where disagreement is sampled, the other aliases see copies too: of what they answer themselves, nobody knows
        what the live model would say.

        Args:
            policy: whether disagreement is sampled.
            name: who answered.
            model: what answered.
            images: the encoded images.
            findings: what it said of each of them.
        """
        deployment = self._routes.find(name)
        if deployment is None or deployment.serving is None:
            return
        serving = deployment.serving
        for target in serving.others if policy.disagreement_share else serving.shadows:
            key = (deployment.id, serving.number, target.alias)
            for image, found in zip(images, findings, strict=True):
                if self._random.random() < target.share:
                    self._enqueue(_Copy(name, key, target, image, policy, model, found))

    async def run(self) -> None:
        """Works on the copies, and writes down how the shadows did, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work())
            group.create_task(self._write_down())

    def _enqueue(self, copy: _Copy) -> None:
        if self._waiting_bytes + len(copy.image) > self._settings.max_shadow_bytes_waiting:
            self._count(copy, "dropped", ShadowFigures(dropped=1))
            return
        self._waiting_bytes += len(copy.image)
        self._waiting.put_nowait(copy)

    async def _work(self) -> None:
        while True:
            copy = await self._waiting.get()
            if self._room.images > self._settings.decode_threads:
                await asyncio.sleep(_PATIENCE_SECONDS)
            self._waiting_bytes -= len(copy.image)
            try:
                await self._compare(copy)
            except SightsmithError as error:
                self._count(copy, "failed", ShadowFigures(failed=1))
                _log.debug("a shadow failed", deployment=str(copy.deployment), error=error.message)

    async def _compare(self, copy: _Copy) -> None:
        if copy.target.servable is None or not self._is_current(copy):
            return
        with self._routes.holding(copy.target.servable) as model:
            pixels = await self._decoder.decode(copy.image, model.image_side, "image")
            started = time.perf_counter()
            outputs = await self._triton.infer(model, pixels[None], self._settings.triton_timeout_seconds)
            seconds = time.perf_counter() - started
        (found,) = read_findings(model, outputs)
        disagrees = _labels_of(found, model) != _labels_of(copy.found, copy.model)
        if disagrees and self._random.random() < copy.policy.disagreement_share:
            pick = Pick(PredictionSampled.REASON_DISAGREEMENT)
            self._sampler.keep(copy.policy, copy.deployment, copy.model, copy.image, copy.found, pick)
        _seconds.labels(str(copy.deployment), copy.target.alias).observe(seconds)
        outcome = "disagreed" if disagrees else "agreed"
        self._count(copy, outcome, ShadowFigures(compared=1, disagreed=int(disagrees), seconds=seconds))

    def _is_current(self, copy: _Copy) -> bool:
        """Whether the release that a copy was made for still answers; the models of others may be gone."""
        deployment = self._routes.find(copy.deployment)
        if deployment is None or deployment.serving is None:
            return False
        return (deployment.id, deployment.serving.number) == copy.key[:2]

    def _count(self, copy: _Copy, outcome: str, figures: ShadowFigures) -> None:
        _images.labels(str(copy.deployment), copy.target.alias, outcome).inc()
        self._counted[copy.key] += figures

    async def _write_down(self) -> None:
        while True:
            await asyncio.sleep(self._settings.shadow_figures_seconds)
            counted, self._counted = self._counted, defaultdict(ShadowFigures)
            if not counted:
                continue
            try:
                await self._deployments.count_shadows(counted)
            except UnavailableError as error:
                _log.warning("figures of shadows wait to be stored", error=error.message)
                for key, figures in counted.items():
                    self._counted[key] += figures


def _labels_of(findings: Findings, model: ServableModel) -> Sequence[str]:
    """The labels that a model answers with, in alphabetical order; a detector's as often as it finds them."""
    return sorted(prediction.label for prediction in choose(findings, model, _OWN_RULE))
