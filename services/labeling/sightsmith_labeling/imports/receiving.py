"""Taking in what an import reads: where each image goes, what it is called there, and its bytes stored."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from sightsmith.images import ImageError
from sightsmith_labeling.datasets import DatasetKey
from sightsmith_labeling.formats.records import ImportedImage, Rejection
from sightsmith_labeling.imports.incoming import Incoming, StoredBytes, is_url
from sightsmith_labeling.imports.reading import LoadedImage, Record
from sightsmith_labeling.imports.request import ImportRequest
from sightsmith_labeling.imports.sources import ImportSource
from sightsmith_labeling.imports.targets import Targets
from sightsmith_labeling.intake import Intake

_DIGEST_BYTES = 16


@dataclass(frozen=True)
class Batch:
    """Some of an import, ready to be written.

    Attributes:
        images: those that were taken in.
        rejected: lines that were refused.
        position: where the import goes on after it.
    """

    images: Sequence[Incoming]
    rejected: Sequence[Rejection]
    position: int


class Receiver:
    """Takes in one import."""

    def __init__(self, request: ImportRequest, source: ImportSource, targets: Targets, intake: Intake) -> None:
        self._request = request
        self._source = source
        self._targets = targets
        self._intake = intake
        self._seen: set[bytes] = set()

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """What is still to be imported; what was before the job was cut off is only seen once more.

        Raises:
            FormatError: if the import as a whole cannot be read.
            NotFoundError: if the dataset is not there.
            UnavailableError: if the object store cannot be reached.
        """
        to_recall = self._source.to_recall
        while records := await self._source.next():
            position = self._source.position
            named = await self._named(records)
            new, to_recall = slice(to_recall, None), max(0, to_recall - len(records))
            if records[new]:
                kept = await self._all_kept(named[new], records[new])
                images = [one for one in kept if isinstance(one, Incoming)]
                yield Batch(images, [one for one in kept if isinstance(one, Rejection)], position)

    async def _named(self, records: Sequence[Record]) -> list[Incoming | Rejection]:
        """Where images go and what they are called there."""
        splits = {record.image.split for record in records if isinstance(record, LoadedImage)}
        datasets = {split: await self._targets.find(split) for split in splits}

        def place() -> list[Incoming | Rejection]:
            return [
                self._placed(record, datasets[record.image.split]) if isinstance(record, LoadedImage) else record
                for record in records
            ]

        # In a thread, so that the batch before goes on being written.
        return await asyncio.to_thread(place)

    def _placed(self, record: LoadedImage, dataset: DatasetKey) -> Incoming | Rejection:
        source = self._source_of(record.image)
        if self._source.is_by_name and not self._is_first(dataset, source):
            message = f"{source} came before in this import; the first one counts"
            return Rejection(record.image.place, "ERROR_DUPLICATE_SOURCE_REF", message)
        return Incoming(record.image, dataset, source, record.stored)

    def _source_of(self, image: ImportedImage) -> str:
        prefix = self._request.image_prefix
        if prefix is None or image.file is not None or is_url(image.source):
            return image.source
        return f"{prefix.rstrip('/')}/{image.source.lstrip('/')}"

    def _is_first(self, dataset: DatasetKey, source: str) -> bool:
        # A digest in place of the name: a million long names would not fit.
        name = f"{dataset.key} {source}".encode(errors="surrogatepass")
        digest = blake2b(name, digest_size=_DIGEST_BYTES).digest()
        if digest in self._seen:
            return False
        self._seen.add(digest)
        return True

    async def _all_kept(
        self, named: Sequence[Incoming | Rejection], records: Sequence[Record]
    ) -> list[Incoming | Rejection]:
        """The images, those that came with their bytes with them stored."""
        outcomes = list(named)
        coming = [place for place, record in enumerate(records) if _has_bytes(record)]
        kept = await asyncio.gather(*(self._kept(named[place], records[place]) for place in coming))
        for place, outcome in zip(coming, kept, strict=True):
            outcomes[place] = outcome
        return outcomes

    async def _kept(self, image: Incoming | Rejection, record: Record) -> Incoming | Rejection:
        if isinstance(image, Rejection) or isinstance(record, Rejection) or record.data is None:
            return image
        try:
            kept = await self._intake.keep(image.source, record.data)
        except ImageError as error:
            return Rejection(image.image.place, "ERROR_INVALID_IMAGE", f"{image.source}: {error}")
        return replace(image, bytes=StoredBytes.of(kept))


def _has_bytes(record: Record) -> bool:
    return isinstance(record, LoadedImage) and record.data is not None
