"""Which predictions are kept for the review queue, and keeping them beside the data path, not on it."""

import asyncio
import hashlib
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from prometheus_client import Counter

from sightsmith.api.events.v1.event_pb2 import PredictionSampled
from sightsmith.database import Database
from sightsmith.errors import FieldViolation, UnavailableError
from sightsmith.events.outbox import tell
from sightsmith.logs import get_logger
from sightsmith.names import DeploymentName
from sightsmith.objects import Objects, image_key
from sightsmith_inference.findings import Findings
from sightsmith_inference.models import ServableModel
from sightsmith_inference.ranking import Wish, choose
from sightsmith_inference.tables import OutboxRow

# What a reviewer looks at; the rest of a thousand labels only makes events large.
_LABELS = Wish(min_confidence=0.0, max_results=10)
_TOGETHER = 32
_RETRY_SECONDS = 1.0
_samples = Counter("sightsmith_inference_sampled_predictions_total", "Predictions picked for review.", ["outcome"])
_log = get_logger(__name__)

Reason = PredictionSampled.Reason


@dataclass(frozen=True)
class SamplingPolicy:
    """Which predictions of a deployment are kept; none by default.

    Attributes:
        share: of all predictions, 0 to 1, picked by chance.
        below_confidence: predictions whose best score is below are all picked; 0 to 1.
    """

    share: float = 0.0
    below_confidence: float = 0.0

    @property
    def is_on(self) -> bool:
        """Whether it can pick anything."""
        return self.share > 0 or self.below_confidence > 0

    def violations(self) -> list[FieldViolation]:
        """What is wrong with it."""
        # Not a number compares false with everything, and so is found too.
        return [
            FieldViolation(f"deployment.sampling.{name}", f"must be from 0 to 1, not {value}")
            for name, value in vars(self).items()
            if not 0 <= value <= 1
        ]

    def reason_for(self, best: float, chance: float) -> "Reason.ValueType | None":
        """Why a prediction is picked; None if it is not.

        Args:
            best: its best score, 0 to 1.
            chance: a random number of at least 0 and below 1.
        """
        if best < self.below_confidence:
            return PredictionSampled.REASON_LOW_CONFIDENCE
        return PredictionSampled.REASON_RANDOM if chance < self.share else None


OFF = SamplingPolicy()


@dataclass(frozen=True)
class _Sample:
    image: bytes
    fact: PredictionSampled


class Sampler:
    """Takes predictions from the data path without making it wait, and stores and announces them in its own time.

    What waits is bounded; predictions that find no room are dropped and counted. So are those that wait when the
    process ends: a sample may be lost, a prediction is never late because of one.
    """

    def __init__(self, database: Database, objects: Objects, max_waiting_bytes: int) -> None:
        self._database = database
        self._objects = objects
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting_bytes = 0
        self._waiting: asyncio.Queue[_Sample] = asyncio.Queue()
        self._random = Random()  # noqa: S311 - nothing secret hangs on it

    def offer(
        self,
        policy: SamplingPolicy,
        deployment: DeploymentName,
        model: ServableModel,
        images: Iterable[bytes],
        findings: Sequence[Findings],
    ) -> None:
        """Picks among predictions that were just made. Returns at once, and does next to nothing if the policy is off.

        Args:
            policy: decides which ones.
            deployment: who answered.
            model: what answered.
            images: the encoded images.
            findings: what it said of each of them.
        """
        if not policy.is_on:
            return
        for image, found in zip(images, findings, strict=True):
            reason = policy.reason_for(found.best, self._random.random())
            if reason is None:
                continue
            if self._waiting_bytes + len(image) > self._max_waiting_bytes:
                _samples.labels("dropped").inc()
                continue
            self._waiting_bytes += len(image)
            self._waiting.put_nowait(_Sample(image, _fact(deployment, model, found, reason)))

    async def run(self) -> None:
        """Stores what was picked, until cancelled."""
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < _TOGETHER and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            await self._keep_patiently(batch)
            self._waiting_bytes -= sum(len(sample.image) for sample in batch)

    async def _keep_patiently(self, batch: Sequence[_Sample]) -> None:
        while True:
            try:
                await self._keep(batch)
                return
            except UnavailableError as error:
                _log.warning("sampled predictions wait to be stored", error=error.message)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _keep(self, batch: Sequence[_Sample]) -> None:
        """Stores the images once, under their hashes; only then tells of them."""
        hashes = await asyncio.to_thread(lambda: [hashlib.sha256(sample.image).hexdigest() for sample in batch])
        images = {sha256: sample.image for sha256, sample in zip(hashes, batch, strict=True)}
        await asyncio.gather(*(self._objects.put_once(image_key(sha256), image) for sha256, image in images.items()))
        async with self._database.transaction() as session:
            for sha256, sample in zip(hashes, batch, strict=True):
                sample.fact.image_sha256 = sha256
                tell(session, OutboxRow, sample.fact)
        _samples.labels("kept").inc(len(batch))


def _fact(
    deployment: DeploymentName, model: ServableModel, findings: Findings, reason: "Reason.ValueType"
) -> PredictionSampled:
    labels = choose(findings.of_whole_image(), model, _LABELS)
    return PredictionSampled(
        prediction_id=str(uuid.uuid4()),
        deployment=str(deployment),
        model=model.model,
        labels=[PredictionSampled.Label(label=found.label, confidence=found.confidence) for found in labels],
        reason=reason,
    )
