"""Finding those images of an import that a dataset has already."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Cast, Text, any_, cast, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith_labeling.imports.incoming import Incoming, is_url
from sightsmith_labeling.tables import ImageRow

# Of images that share a file name with more than this many others of the dataset, only the exact source is looked for.
_NAMESAKES = 16


@dataclass(frozen=True)
class _There:
    sequence: int
    source: str


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
    exact = await _by_bytes_or_source(session, datasets, images)
    found: dict[int, int] = {}
    for place, image in enumerate(images):
        key = image.dataset.key
        sequence = exact.get((key, image.bytes.sha256)) if image.bytes else None
        sequence = sequence or exact.get((key, image.source))
        if sequence is not None:
            found[place] = sequence
    # What comes with its own bytes is another image, whatever it is called.
    unknown = {place: image for place, image in enumerate(images) if place not in found and image.bytes is None}
    namesakes = await _namesakes(session, datasets, {image.file_name for image in unknown.values()})
    for place, image in unknown.items():
        there = namesakes.get((image.dataset.key, image.file_name), ())
        if (sequence := _meant(image, there, by_file_name)) is not None:
            found[place] = sequence
    return found


async def _by_bytes_or_source(
    session: AsyncSession, datasets: Collection[int], images: Sequence[Incoming]
) -> Mapping[tuple[int, str], int]:
    """The places of images by dataset and SHA-256, and by dataset and source."""
    sha256s = sorted({image.bytes.sha256 for image in images if image.bytes})
    names, sources = sorted({image.file_name for image in images}), sorted({image.source for image in images})
    wanted = select(ImageRow.dataset, ImageRow.sequence, ImageRow.sha256, ImageRow.source).where(
        ImageRow.dataset.in_(datasets),
        or_(
            ImageRow.sha256 == any_(_texts(sha256s)),
            # The index is on file names.
            (ImageRow.file_name == any_(_texts(names))) & (ImageRow.source == any_(_texts(sources))),
        ),
    )
    found: dict[tuple[int, str], int] = {}
    for dataset, sequence, sha256, source in await session.execute(wanted.order_by(ImageRow.sequence)):
        for name in (sha256, source):
            if name is not None:
                found.setdefault((dataset, name), sequence)
    return found


async def _namesakes(
    session: AsyncSession, datasets: Collection[int], file_names: Collection[str]
) -> Mapping[tuple[int, str], Sequence[_There]]:
    """The images of each file name, by dataset and file name."""
    if not file_names:
        return {}
    wanted = (
        select(
            ImageRow.dataset,
            ImageRow.file_name,
            func.array_agg(aggregate_order_by(ImageRow.sequence, ImageRow.sequence)),
            func.array_agg(aggregate_order_by(ImageRow.source, ImageRow.sequence)),
        )
        .where(ImageRow.dataset.in_(datasets), ImageRow.file_name == any_(_texts(sorted(file_names))))
        .group_by(ImageRow.dataset, ImageRow.file_name)
        .having(func.count() <= _NAMESAKES)
    )
    found: dict[tuple[int, str], Sequence[_There]] = defaultdict(tuple)
    for dataset, file_name, sequences, sources in await session.execute(wanted):
        found[dataset, file_name] = [_There(*there) for there in zip(sequences, sources, strict=True)]
    return found


def _meant(image: Incoming, there: Sequence[_There], by_file_name: bool) -> int | None:
    """Which of the images of the same file name is meant; None if there is no telling."""
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


def _texts(values: Sequence[str]) -> Cast[Any]:
    return cast(literal(values, ARRAY(Text)), ARRAY(Text))
