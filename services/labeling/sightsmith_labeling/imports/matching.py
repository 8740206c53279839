"""Finding those images of an import that a dataset has already."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression, case, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith_labeling.arrays import is_one_of_texts
from sightsmith_labeling.imports.incoming import Incoming, is_url
from sightsmith_labeling.tables import ImageRow

# Of images that share a file name with more than this many others of the dataset, only the exact source is looked for.
_NAMESAKES = 16


_HAS_BYTES = ImageRow.sha256.is_not(None)


@dataclass(frozen=True)
class _There:
    sequence: int
    source: str
    has_bytes: bool


async def find_existing(session: AsyncSession, images: Sequence[Incoming], by_file_name: bool) -> Mapping[int, int]:
    """Finds the images that are there: the same bytes, else the same source, else what is named alike.

    Named alike are two paths of which one is the end of the other, as `1.jpg` of `photos/1.jpg`.

    Args:
        session: the transaction.
        images: of the import.
        by_file_name: whether an image whose path differs counts too, if it is the only one of its file name; one with a
            URL then only if the dataset's has none.

    Returns:
        The place in the order of arrival (`sequence`) of those that were found, by their place in `images`.
    """
    datasets = {image.dataset.key for image in images}
    same_bytes = await _by_bytes(session, datasets, {image.bytes.sha256 for image in images if image.bytes})
    namesakes = await _namesakes(session, datasets, {image.file_name for image in images})
    if not (same_bytes or namesakes):
        return {}
    crowded = [image for image in images if namesakes.get((image.dataset.key, image.file_name), ()) is None]
    by_source = await _by_source(session, datasets, crowded)
    found: dict[int, int] = {}
    for place, image in enumerate(images):
        key = image.dataset.key
        sequence = same_bytes.get((key, image.bytes.sha256)) if image.bytes else None
        if sequence is None:
            there = namesakes.get((key, image.file_name), ())
            meant = by_source.get((key, image.source), ()) if there is None else there
            sequence = _meant(image, meant, by_file_name)
        if sequence is not None:
            found[place] = sequence
    return found


async def _by_bytes(
    session: AsyncSession, datasets: Collection[int], sha256s: Collection[str]
) -> Mapping[tuple[int, str | None], int]:
    """The places of images by dataset and SHA-256."""
    if not sha256s:
        return {}
    wanted = select(ImageRow.dataset, ImageRow.sha256, ImageRow.sequence).where(
        ImageRow.dataset.in_(datasets), is_one_of_texts(ImageRow.sha256, sorted(sha256s))
    )
    return {(dataset, sha256): sequence for dataset, sha256, sequence in await session.execute(wanted)}


async def _by_source(
    session: AsyncSession, datasets: Collection[int], images: Sequence[Incoming]
) -> Mapping[tuple[int, str], Sequence[_There]]:
    """By dataset and source, the first image of each that has its bytes and the first that has not."""
    if not images:
        return {}
    names, sources = {image.file_name for image in images}, {image.source for image in images}
    wanted = (
        select(ImageRow.dataset, ImageRow.source, func.min(ImageRow.sequence), _HAS_BYTES)
        # The index is on file names.
        .where(
            ImageRow.dataset.in_(datasets),
            is_one_of_texts(ImageRow.file_name, sorted(names)),
            is_one_of_texts(ImageRow.source, sorted(sources)),
        )
        .group_by(ImageRow.dataset, ImageRow.source, _HAS_BYTES)
    )
    found: dict[tuple[int, str], list[_There]] = defaultdict(list)
    for dataset, source, sequence, has_bytes in await session.execute(wanted):
        found[dataset, source].append(_There(sequence, source, has_bytes))
    return {key: sorted(there, key=lambda one: one.sequence) for key, there in found.items()}


async def _namesakes(
    session: AsyncSession, datasets: Collection[int], file_names: Collection[str]
) -> Mapping[tuple[int, str], Sequence[_There] | None]:
    """The images of each file name in the order of arrival, by dataset and file name; None where they are too many."""
    columns = map(_unless_crowded, (ImageRow.sequence, ImageRow.source, _HAS_BYTES))
    wanted = (
        select(ImageRow.dataset, ImageRow.file_name, *columns)
        .where(ImageRow.dataset.in_(datasets), is_one_of_texts(ImageRow.file_name, sorted(file_names)))
        .group_by(ImageRow.dataset, ImageRow.file_name)
    )
    return {
        (dataset, file_name): values[0] and [_There(*there) for there in zip(*values, strict=True)]
        for dataset, file_name, *values in await session.execute(wanted)
    }


def _unless_crowded(column: SQLColumnExpression[Any]) -> ColumnElement[Any]:
    """The values of a group in the order of arrival; null if the group is too large."""
    return case((func.count() <= _NAMESAKES, func.array_agg(aggregate_order_by(column, ImageRow.sequence))))


def _meant(image: Incoming, there: Sequence[_There], by_file_name: bool) -> int | None:
    """Which of the images of the same file name is meant; None if there is no telling."""
    if image.bytes is not None:
        # What comes with its own bytes is another image than one that has its own, whatever they are called.
        there = [one for one in there if not one.has_bytes]
    if (same := next((one for one in there if one.source == image.source), None)) is not None:
        return same.sequence
    if image.bytes is not None:
        return None
    alike = [one for one in there if _is_named_alike(image, one.source)]
    if len(alike) == 1:
        return alike[0].sequence
    if not alike and by_file_name and len(there) == 1 and not (image.is_url and is_url(there[0].source)):
        return there[0].sequence
    return None


def _is_named_alike(image: Incoming, source: str) -> bool:
    if image.is_url and is_url(source):
        return image.source == source
    path, other = f"/{image.source}", f"/{source}"
    return path.endswith(other) or other.endswith(path)
