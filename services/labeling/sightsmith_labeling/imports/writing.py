"""Writing a batch of an import into datasets: a handful of statements, however many images there are."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, cast

import msgspec
from sqlalchemy import CursorResult, any_, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import utc_now
from sightsmith.names import ProjectName
from sightsmith_labeling import changes
from sightsmith_labeling.annotations import NewAnnotation, stored, stored_new
from sightsmith_labeling.arrays import is_one_of_texts
from sightsmith_labeling.edited_image import EditedImage
from sightsmith_labeling.formats.records import ImportedImage
from sightsmith_labeling.images import ImageState, Problem, new_image_ids, to_image
from sightsmith_labeling.imports.ahead import ahead
from sightsmith_labeling.imports.incoming import Incoming, Size, fitted
from sightsmith_labeling.imports.matching import find_existing
from sightsmith_labeling.imports.request import ExistingImages
from sightsmith_labeling.labels import label_keys, label_names
from sightsmith_labeling.quotas import Quotas, require_room
from sightsmith_labeling.statistics import statistics_of
from sightsmith_labeling.tables import ImageRow

# Rows of one statement: the next ones are put together while the database works on these.
_ROWS = 1000
# How often a batch is matched again because somebody else was quicker to add the same images.
_ROUNDS = 5

# One document for all rows: far fewer parameters than columns times rows, and nothing to prepare.
_INSERT = text(
    """
    INSERT INTO labeling.images (dataset, id, state, sha256, source, width, height, size_bytes, media_type,
                                 annotations, last_annotation, problems, signals, create_time, update_time)
    SELECT dataset, id, state, sha256, source, width, height, size_bytes, media_type,
           annotations, last_annotation, problems, signals, :now, :now
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS new (
        dataset bigint, id text, state text, sha256 text, source text, width bigint, height bigint, size_bytes bigint,
        media_type text, annotations jsonb, last_annotation bigint, problems jsonb, signals jsonb)
    ON CONFLICT DO NOTHING
    """
)
_UPDATE = text(
    """
    UPDATE labeling.images SET
        state = new.state, sha256 = new.sha256, width = new.width, height = new.height, size_bytes = new.size_bytes,
        media_type = new.media_type, annotations = new.annotations, last_annotation = new.last_annotation,
        problems = new.problems, signals = new.signals, revision = revision + 1, update_time = :now
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS new (
        sequence bigint, state text, sha256 text, width bigint, height bigint, size_bytes bigint,
        media_type text, annotations jsonb, last_annotation bigint, problems jsonb, signals jsonb)
    WHERE images.sequence = new.sequence
    """
)
_TURN = text("SELECT pg_advisory_xact_lock(hashtext('labeling.imports'), CAST(:dataset % 2147483647 AS integer))")


class Outcome(StrEnum):
    """What became of an image of an import."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    NOT_FOUND = "not found"
    TOO_MANY = "too many annotations"


@dataclass(frozen=True)
class Written:
    """What became of an image, and what the import says of it now that its size is known.

    Attributes:
        size: upright width and height in pixels that the boxes had to fit; None where they are not known, and for an
            image that was left alone.
    """

    outcome: Outcome
    problems: tuple[Problem, ...] = ()
    message: str = ""
    size: Size = (None, None)


class BatchWriter:
    """Writes the batches of one import.

    Args:
        project: that everything belongs to.
        author: of annotations that name none.
        existing: what is done with images that are there.
        quotas: that hold for what is written.
    """

    def __init__(self, project: ProjectName, author: str, existing: ExistingImages, quotas: Quotas) -> None:
        self._project = project
        self._author = author
        self._existing = existing
        self._quotas = quotas

    async def write(self, session: AsyncSession, images: Sequence[Incoming], by_file_name: bool) -> Sequence[Written]:
        """Writes a batch.

        Args:
            session: the transaction.
            images: the batch.
            by_file_name: whether images that are there are also found by their bare file names.

        Returns:
            What became of each image, in their order.

        Raises:
            ResourceExhaustedError: with the reason QUOTA_EXCEEDED, if a dataset or the project has too many.
        """
        await _take_turns(session, images)
        written: dict[int, Written] = {}
        places = list(range(len(images)))
        for _ in range(_ROUNDS):
            left = [images[place] for place in places]
            existing = await find_existing(session, left, by_file_name)
            updated = await self._update(session, {places[at]: (left[at], key) for at, key in existing.items()}, images)
            new = [place for at, place in enumerate(places) if at not in existing]
            created = await self._insert(session, {place: images[place] for place in new})
            written |= updated | created
            # Somebody else has just added the rest, or this batch has the same image twice.
            places = [place for place in range(len(images)) if place not in written]
            if not places:
                break
        await self._require_room(session, images)
        lost = Written(Outcome.NOT_FOUND, message="others change the same image all the time; import it again")
        return [written.get(place, lost) for place in range(len(images))]

    async def _insert(self, session: AsyncSession, images: Mapping[int, Incoming]) -> dict[int, Written]:
        """Adds images; those that turn out to be there already have no place in the answer."""
        homeless = {place: image for place, image in images.items() if image.bytes is None and not image.is_url}
        ready = {place: _sized(image) for place, image in images.items() if place not in homeless}
        keys = await self._label_keys(session, (annotation for one in ready.values() for annotation in one.annotations))
        places = dict(zip(new_image_ids(len(ready)), ready, strict=True))
        datasets = {image.dataset.key for image in images.values()}
        now = utc_now()

        def rows_of(image_ids: Sequence[str]) -> str:
            new = ((image_id, places[image_id]) for image_id in image_ids)
            return _as_json(self._new_row(id_, images[at], ready[at], keys, now.isoformat()) for id_, at in new)

        written = {place: _homeless(image) for place, image in homeless.items()}
        async with aclosing(ahead(_in_thread(rows_of, list(places)))) as documents:
            async for image_ids, rows in documents:
                added = cast("CursorResult[Any]", await session.execute(_INSERT, {"rows": rows, "now": now}))
                if added.rowcount < len(image_ids):
                    image_ids = await _those_added(session, datasets, image_ids)
                for image_id in image_ids:
                    place = places[image_id]
                    said = ready[place]
                    written[place] = Written(Outcome.CREATED, said.problems, size=(said.width, said.height))
        return written

    def _new_row(
        self,
        image_id: str,
        image: Incoming,
        said: ImportedImage,
        keys: Mapping[str, int],
        time: str,
    ) -> dict[str, Any]:
        return {
            "dataset": image.dataset.key,
            "id": image_id,
            "source": image.source,
            "annotations": stored_new(said.annotations, self._author, keys, time),
            "last_annotation": len(said.annotations),
            "problems": [vars(problem) for problem in said.problems],
            **_bytes_columns(image),
        }

    async def _update(
        self, session: AsyncSession, matched: Mapping[int, tuple[Incoming, int]], images: Sequence[Incoming]
    ) -> dict[int, Written]:
        """Changes images that are there; those that are gone meanwhile have no place in the answer."""
        if not matched:
            return {}
        wanted = (
            select(ImageRow)
            .where(ImageRow.sequence == any_(bindparam("sequences", [key for _, key in matched.values()])))
            # Always in the same order, so that two transactions never wait for each other.
            .order_by(ImageRow.sequence)
            .with_for_update()
        )
        found = await session.scalars(wanted, execution_options={"populate_existing": True})
        rows = {row.sequence: row for row in found}
        names = await label_names(session, self._project.project)
        datasets = {image.dataset.key: image.dataset.name for image in images}
        changing = {
            key: _Changing(
                row, EditedImage(to_image(datasets[row.dataset], row, names), row.last_annotation, self._quotas)
            )
            for key, row in rows.items()
        }
        given: set[tuple[int, str]] = set()
        written = {
            place: self._change(changing[key], image, given)
            for place, (image, key) in sorted(matched.items())
            if key in rows
        }
        await self._write_changes(session, [one for one in changing.values() if one.is_changed])
        return written

    def _change(self, there: "_Changing", image: Incoming, given: set[tuple[int, str]]) -> Written:
        if self._existing is ExistingImages.KEEP:
            return Written(Outcome.UNCHANGED)
        known = there.take_bytes(image, given)
        said = fitted(image.image, *known)
        annotations = [self._authored(annotation) for annotation in said.annotations]
        if self._existing is ExistingImages.REPLACE:
            there.edited.replace_all(annotations)
            there.problems = list(said.problems)
        else:
            for annotation in annotations:
                there.edited.add(annotation)
            there.problems += [problem for problem in said.problems if problem not in there.problems]
        if too_many := [violation.description for violation in there.edited.violations]:
            there.refuse()
            return Written(Outcome.TOO_MANY, message="; ".join(too_many))
        outcome = Outcome.UPDATED if there.is_changed else Outcome.UNCHANGED
        return Written(outcome, said.problems, size=known)

    async def _write_changes(self, session: AsyncSession, changed: Sequence["_Changing"]) -> None:
        if not changed:
            return
        keys = await self._label_keys(session, (made for one in changed for made in one.edited.annotations))
        rows = _as_json(one.columns(keys) for one in changed)
        await session.execute(_UPDATE, {"rows": rows, "now": utc_now()})
        for one in changed:
            name = one.edited.name
            changes.record(session, self._project.project, name, "imports.update", **one.edited.difference)

    async def _label_keys(self, session: AsyncSession, annotations: Iterable[Any]) -> Mapping[str, int]:
        labels = {annotation.label for annotation in annotations}
        return await label_keys(session, self._project.project, labels, self._quotas.labels_per_project)

    async def _require_room(self, session: AsyncSession, images: Sequence[Incoming]) -> None:
        if self._quotas.images_per_dataset is None:
            return
        names = {image.dataset.key: image.dataset.name for image in images}
        for key, statistics in (await statistics_of(session, list(names))).items():
            require_room(f"images in {names[key]}", statistics.image_count, self._quotas.images_per_dataset)

    def _authored(self, annotation: NewAnnotation) -> NewAnnotation:
        return annotation if annotation.author else replace(annotation, author=self._author)


class _Changing:
    """An image that is there, locked, while an import changes it."""

    def __init__(self, row: ImageRow, edited: EditedImage) -> None:
        self._row = row
        self._bytes: dict[str, Any] = {
            name: getattr(row, name)
            for name in ("state", "sha256", "width", "height", "size_bytes", "media_type", "signals")
        }
        self._bytes_before = dict(self._bytes)
        self._refused = False
        self.edited = edited
        self.problems = list(edited.image.problems)

    @property
    def is_changed(self) -> bool:
        """Whether anything of it is other than it was."""
        return not self._refused and (
            self.edited.is_changed
            or self._bytes != self._bytes_before
            or [vars(problem) for problem in self.problems] != self._row.problems
        )

    def take_bytes(self, image: Incoming, given: set[tuple[int, str]]) -> tuple[int | None, int | None]:
        """Gives an image that has no bytes those of the import, or has them fetched once more.

        Args:
            image: of the import.
            given: bytes that other images of the batch got, by dataset: a dataset has the same image once. Is added to.

        Returns:
            The size in pixels of the image as it is now, where it is known.
        """
        if self._bytes["sha256"] is None and image.bytes is not None:
            if (self._row.dataset, image.bytes.sha256) in given:
                return image.bytes.width, image.bytes.height
            given.add((self._row.dataset, image.bytes.sha256))
            self._bytes |= _bytes_columns(image)
            self.problems = []
        elif self._bytes["state"] == ImageState.FAILED and image.is_url:
            self._bytes["state"] = ImageState.PENDING.value
            self.problems = []
        return self._bytes["width"], self._bytes["height"]

    def refuse(self) -> None:
        """Leaves it as it was."""
        self._refused = True

    def columns(self, keys: Mapping[str, int]) -> dict[str, Any]:
        """Its row as it is to be."""
        return {
            "sequence": self._row.sequence,
            "annotations": [stored(annotation, keys) for annotation in self.edited.annotations],
            "last_annotation": self.edited.last_annotation,
            "problems": [vars(problem) for problem in self.problems],
            **self._bytes,
        }


async def _take_turns(session: AsyncSession, images: Iterable[Incoming]) -> None:
    """Lets one import at a time write to a dataset: images keep their order, and no two imports wait for each other."""
    for dataset in sorted({image.dataset.key for image in images}):
        await session.execute(_TURN, {"dataset": dataset})


async def _in_thread(
    rows_of: Callable[[Sequence[str]], str], image_ids: Sequence[str]
) -> AsyncIterator[tuple[Sequence[str], str]]:
    for begin in range(0, len(image_ids), _ROWS):
        some = image_ids[begin : begin + _ROWS]
        yield some, await asyncio.to_thread(rows_of, some)


async def _those_added(session: AsyncSession, datasets: Iterable[int], image_ids: Sequence[str]) -> Sequence[str]:
    """Those of these new ids that an image of the datasets has by now."""
    wanted = select(ImageRow.id).where(ImageRow.dataset.in_(datasets), is_one_of_texts(ImageRow.id, image_ids))
    return (await session.scalars(wanted)).all()


def _as_json(rows: Iterable[Mapping[str, Any]]) -> str:
    return msgspec.json.encode([*rows]).decode()


def _homeless(image: Incoming) -> Written:
    message = f"{image.source} is neither among the files of the import nor in {image.dataset.name}"
    return Written(Outcome.NOT_FOUND, message=message)


def _sized(image: Incoming) -> ImportedImage:
    stored_bytes = image.bytes
    return fitted(image.image, *((stored_bytes.width, stored_bytes.height) if stored_bytes else (None, None)))


def _bytes_columns(image: Incoming) -> dict[str, Any]:
    """The columns that tell of an image's bytes; of an image without them the size that the import says."""
    there = image.bytes
    if there is None:
        return {"state": ImageState.PENDING.value, "width": image.image.width, "height": image.image.height}
    return {
        "state": ImageState.READY.value,
        "sha256": there.sha256,
        "width": there.width,
        "height": there.height,
        "size_bytes": there.size_bytes,
        "media_type": there.media_type,
        "signals": there.signals and dict(there.signals),
    }
