"""Finding predictions whose images are of another kind than those that the model learned from."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from prometheus_client import Counter

from sightsmith.api.events.v1.event_pb2 import PredictionSampled
from sightsmith.errors import SightsmithError
from sightsmith.logs import get_logger
from sightsmith.names import DeploymentName
from sightsmith_inference.drift_references import DriftReference, DriftReferences
from sightsmith_inference.embedder import Embedder
from sightsmith_inference.findings import Findings
from sightsmith_inference.models import ServableModel
from sightsmith_inference.room import Room
from sightsmith_inference.sampling import Sampler
from sightsmith_inference.sampling_policy import Pick, SamplingPolicy
from sightsmith_inference.settings import InferenceSettings

# While callers wait for answers, an image so often is looked at.
_PATIENCE_SECONDS = 0.1
# Of so many models what they learned from is remembered.
_MOST_MODELS = 8
# How long it is left alone to ask for what could not be had.
_RETRY_SECONDS = 60.0
_images = Counter("sightsmith_inference_drift_images_total", "Images that were to be looked at for drift.", ["outcome"])
_log = get_logger(__name__)


@dataclass(frozen=True)
class _Seen:
    """An image, and what was said of it."""

    policy: SamplingPolicy
    deployment: DeploymentName
    model: ServableModel
    image: bytes
    found: Findings


class Drifting:
    """Takes copies from the data path without making it wait, and looks at one at a time.

    What waits is bounded; copies that find no room are dropped and counted.
    """

    def __init__(
        self,
        settings: InferenceSettings,
        references: DriftReferences,
        embedder: Embedder,
        sampler: Sampler,
        room: Room,
    ) -> None:
        """Prepares it.

        Args:
            settings: its limits.
            references: what models learned from.
            embedder: embeds images as those were.
            sampler: keeps what is found.
            room: tells how busy the process is.
        """
        self._settings = settings
        self._references = references
        self._embedder = embedder
        self._sampler = sampler
        self._room = room
        self._waiting: asyncio.Queue[_Seen] = asyncio.Queue()
        self._waiting_bytes = 0
        self._random = Random()  # noqa: S311 - nothing secret hangs on it
        self._known: OrderedDict[str, DriftReference] = OrderedDict()
        self._retry_times: dict[str, float] = {}

    def offer(
        self,
        policy: SamplingPolicy,
        deployment: DeploymentName,
        model: ServableModel,
        images: Sequence[bytes],
        findings: Sequence[Findings],
    ) -> None:
        """Takes a share of predictions that were just made, as the policy asks for. Returns at once.

        Args:
            policy: how large a share.
            deployment: who answered.
            model: what answered.
            images: the encoded images.
            findings: what it said of each of them.
        """
        if not policy.drift_share:
            return
        for image, found in zip(images, findings, strict=True):
            if self._random.random() >= policy.drift_share:
                continue
            if self._waiting_bytes + len(image) > self._settings.max_drift_bytes_waiting:
                _images.labels("dropped").inc()
                continue
            self._waiting_bytes += len(image)
            self._waiting.put_nowait(_Seen(policy, deployment, model, image, found))

    async def run(self) -> None:
        """Looks at what was taken, until cancelled."""
        while True:
            seen = await self._waiting.get()
            if self._room.images > self._settings.decode_threads:
                await asyncio.sleep(_PATIENCE_SECONDS)
            self._waiting_bytes -= len(seen.image)
            try:
                outcome = await self._look(seen)
            except SightsmithError as error:
                outcome = "failed"
                _log.debug("drift cannot be told", deployment=str(seen.deployment), error=error.message)
            _images.labels(outcome).inc()

    async def _look(self, seen: _Seen) -> str:
        reference = await self._reference_for(seen.model.model)
        if reference is None:
            return "no_reference"
        (vector,) = await self._embedder.embed(reference.backbone, [seen.image], None)
        if isinstance(vector, SightsmithError):
            raise vector
        if not reference.is_far(np.asarray(vector)[None])[0]:
            return "familiar"
        pick = Pick(PredictionSampled.REASON_DRIFT)
        self._sampler.keep(seen.policy, seen.deployment, seen.model, seen.image, seen.found, pick)
        return "drifted"

    async def _reference_for(self, model: str) -> DriftReference | None:
        if model in self._known:
            self._known.move_to_end(model)
            return self._known[model]
        if time.monotonic() < self._retry_times.get(model, 0):
            return None
        try:
            self._known[model] = reference = await self._references.of(model)
        except SightsmithError as error:
            _log.warning("it cannot be told what drifts from a model's images", model=model, error=error.message)
            self._retry_times = {model: time.monotonic() + _RETRY_SECONDS}
            return None
        if len(self._known) > _MOST_MODELS:
            self._known.popitem(last=False)
        return reference
