"""Embeds images in the background, once for each image and backbone, as inference has time for it."""

import asyncio
from collections.abc import Mapping

from google.rpc import code_pb2
from sqlalchemy import select

from sightsmith.database import Database
from sightsmith.errors import SightsmithError
from sightsmith.logs import get_logger
from sightsmith.rpc.service_channel import service_channel
from sightsmith_labeling.embeddings.inference import InferenceService
from sightsmith_labeling.embeddings.queue import Claimed, EmbeddingQueue
from sightsmith_labeling.embeddings.store import NewEmbedding, keep
from sightsmith_labeling.embeddings.tables import EmbeddingRow
from sightsmith_labeling.settings import LabelingSettings

# What says that the image itself cannot be embedded, now or later.
_HOPELESS = {code_pb2.INVALID_ARGUMENT, code_pb2.NOT_FOUND}
# By SHA-256: an embedding, or None where there is one already.
_Answers = Mapping[str, NewEmbedding | None]
_log = get_logger(__name__)


class Embedder:
    """Works through the queue of images without embeddings. While inference is away, they wait."""

    def __init__(self, settings: LabelingSettings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._queue = EmbeddingQueue(database, settings.embedding_quiet_seconds, settings.embedding_patience_seconds)
        self._pause = 0.0

    async def run(self) -> None:
        """Works until cancelled."""
        async with service_channel(self._settings.inference_target, self._settings) as channel:
            inference = InferenceService(channel)
            is_filled = False
            while True:
                try:
                    if not is_filled:
                        await self._queue.refill(self._settings.embedding_backbones)
                        is_filled = True
                    has_more = await self._embed_batch(inference)
                except SightsmithError as error:
                    longest = self._settings.embedding_longest_pause_seconds
                    self._pause = min(max(2 * self._pause, 1.0), longest)
                    _log.info("images wait for their embeddings", seconds=self._pause, error=error.message)
                    await asyncio.sleep(self._pause)
                else:
                    self._pause = 0.0
                    if not has_more:
                        await asyncio.sleep(self._settings.embedding_poll_seconds)

    async def _embed_batch(self, inference: InferenceService) -> bool:
        """Embeds some images; returns whether there were any."""
        claimed = await self._queue.claim(self._settings.embedding_batch_images)
        if not claimed.keys:
            return False
        try:
            embeddings = {
                backbone: await self._missing(inference, backbone, claimed)
                for backbone in self._settings.embedding_backbones
            }
        except SightsmithError:
            await self._queue.give_back(claimed)
            raise
        unfinished = claimed.attempts.keys() - set.intersection(*(set(new) for new in embeddings.values()))
        searched = self._settings.embedding_backbones[0]
        async with self._database.transaction() as session:
            for backbone, new in embeddings.items():
                await keep(
                    session, backbone, [known for known in new.values() if known], searchable=backbone == searched
                )
            await self._queue.finish(session, claimed, unfinished)
        return True

    async def _missing(self, inference: InferenceService, backbone: str, claimed: Claimed) -> _Answers:
        """What this backbone says of images; those that are to be tried again later are left out."""
        there = select(EmbeddingRow.sha256).where(
            EmbeddingRow.sha256.in_(claimed.sha256s), EmbeddingRow.backbone == backbone
        )
        async with self._database.transaction() as session:
            known = set(await session.scalars(there))
        answers: dict[str, NewEmbedding | None] = dict.fromkeys(known)
        if wanted := [sha256 for sha256 in claimed.sha256s if sha256 not in known]:
            results = await inference.embed_stored(backbone, wanted)
            for sha256, result in zip(wanted, results, strict=True):
                if not isinstance(result, SightsmithError):
                    answers[sha256] = NewEmbedding(sha256, vector=result)
                elif result.code in _HOPELESS or claimed.attempts[sha256] >= self._settings.embedding_attempts:
                    answers[sha256] = NewEmbedding(sha256, problem=result.message)
        return answers
