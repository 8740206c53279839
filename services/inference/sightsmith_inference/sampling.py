"""Keeping predictions for the review queue beside the data path, not on it."""

import asyncio
import hashlib
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from prometheus_client import Counter

from sightsmith.api.events.v1.event_pb2 import PredictionSampled
from sightsmith.database import Database, utc_now
from sightsmith.errors import UnavailableError
from sightsmith.events.outbox import tell
from sightsmith.logs import get_logger
from sightsmith.names import DeploymentName
from sightsmith.objects import Objects, sample_key
from sightsmith_inference.findings import Findings
from sightsmith_inference.models import ServableModel
from sightsmith_inference.ranking import Wish, choose
from sightsmith_inference.sampling_policy import Pick, SamplingPolicy, margin_of
from sightsmith_inference.tables import OutboxRow

# What a reviewer looks at; the rest of a thousand labels only makes events large.
_LABELS = Wish(min_confidence=0.0, max_results=10)
# What the model answers by its own rule, whatever the caller asked for.
_OWN_RULE = Wish()
_TOGETHER = 32
_RETRY_SECONDS = 1.0
_samples = Counter("sightsmith_inference_sampled_predictions_total", "Predictions picked for review.", ["outcome"])
_reasons = Counter("sightsmith_inference_kept_predictions_total", "Predictions kept for review, by why.", ["reason"])
_log = get_logger(__name__)


@dataclass(frozen=True)
class _Sample:
    image: bytes
    fact: PredictionSampled


class Sampler:
    """Takes predictions from the data path without making it wait, and stores and announces them in its own time.

    What waits is bounded; predictions that find no room are dropped and counted. So are those that wait when the
    process ends: a sample may be lost, a prediction is never late because of one.
    """

    def __init__(self, database: Database, objects: Objects, max_waiting_bytes: int, keep_days: float) -> None:
        """Prepares it.

        Args:
            database: where samples are told of.
            objects: where their images are put.
            max_waiting_bytes: of images that wait to be stored.
            keep_days: for how long samples of policies that do not say are kept.
        """
        self._database = database
        self._objects = objects
        self._max_waiting_bytes = max_waiting_bytes
        self._keep_days = keep_days
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
        if not policy.picks_by_answer:
            return
        for image, found in zip(images, findings, strict=True):
            pick = policy.pick(found.best, margin_of(found, model), self._random.random)
            if pick is not None:
                self.keep(policy, deployment, model, image, found, pick)

    def keep(
        self,
        policy: SamplingPolicy,
        deployment: DeploymentName,
        model: ServableModel,
        image: bytes,
        found: Findings,
        pick: Pick,
    ) -> None:
        """Takes a prediction that was picked, if there is room. Returns at once.

        Args:
            policy: says for how long it is kept.
            deployment: who answered.
            model: what answered.
            image: the encoded image.
            found: what it said of the image.
            pick: why it was picked.
        """
        if self._waiting_bytes + len(image) > self._max_waiting_bytes:
            _samples.labels("dropped").inc()
            return
        self._waiting_bytes += len(image)
        keep_for = timedelta(days=policy.keep_days or self._keep_days)
        self._waiting.put_nowait(_Sample(image, _fact(deployment, model, found, pick, keep_for)))

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
        """Stores the images, each in a file of its own that can go when its time has come; only then tells of them."""
        hashes = await asyncio.to_thread(lambda: [hashlib.sha256(sample.image).hexdigest() for sample in batch])
        await asyncio.gather(*(self._objects.put_once(sample.fact.image_key, sample.image) for sample in batch))
        async with self._database.transaction() as session:
            for sha256, sample in zip(hashes, batch, strict=True):
                sample.fact.image_sha256 = sha256
                tell(session, OutboxRow, sample.fact)
        for sample in batch:
            _samples.labels("kept").inc()
            _reasons.labels(PredictionSampled.Reason.Name(sample.fact.reason).removeprefix("REASON_").lower()).inc()


def _fact(
    deployment: DeploymentName, model: ServableModel, findings: Findings, pick: Pick, keep_for: timedelta
) -> PredictionSampled:
    whole = findings.of_whole_image()
    answered = {found.label: found for found in choose(whole, model, _OWN_RULE)}
    told = answered | {found.label: found for found in choose(whole, model, _LABELS)}
    prediction_id = str(uuid.uuid4())
    fact = PredictionSampled(
        prediction_id=prediction_id,
        deployment=str(deployment),
        model=model.model,
        labels=[
            PredictionSampled.Label(label=label, confidence=found.confidence, answered=label in answered)
            for label, found in sorted(told.items(), key=lambda item: -item[1].confidence)
        ],
        reason=pick.reason,
        image_key=sample_key(deployment.project, prediction_id),
        inclusion_probability=pick.probability,
    )
    fact.expire_time.FromDatetime(utc_now() + keep_for)
    return fact
