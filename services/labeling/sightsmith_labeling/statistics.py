"""Counts of datasets and their labels: summed up from the tallies that the database keeps, exact at every moment."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith_labeling.tables import ImageTallyRow, LabelRow, LabelTallyRow


@dataclass(frozen=True)
class LabelStatistics:
    """What is counted of one label.

    Attributes:
        image_count: images that carry it, on the whole or in a box.
        box_count: boxes of it.
    """

    label: str
    image_count: int
    box_count: int


@dataclass(frozen=True)
class Statistics:
    """What is counted of a dataset.

    Attributes:
        labelled_image_count: images with a label or a box.
        erroneous_image_count: images with problems.
        unready_image_count: images whose bytes are not there.
        labels: ordered by label.
    """

    image_count: int = 0
    labelled_image_count: int = 0
    erroneous_image_count: int = 0
    unready_image_count: int = 0
    labels: Sequence[LabelStatistics] = ()


async def statistics_of(session: AsyncSession, datasets: Sequence[int]) -> Mapping[int, Statistics]:
    """The statistics of datasets, by their keys."""
    labels = await _labels_of(session, datasets)
    summed = (
        select(
            ImageTallyRow.dataset,
            func.sum(ImageTallyRow.images),
            func.sum(ImageTallyRow.labelled),
            func.sum(ImageTallyRow.erroneous),
            func.sum(ImageTallyRow.unready),
        )
        .where(ImageTallyRow.dataset.in_(datasets))
        .group_by(ImageTallyRow.dataset)
    )
    found = {key: [int(number) for number in numbers] for key, *numbers in await session.execute(summed)}
    return {key: _statistics(found.get(key, [0, 0, 0, 0]), labels[key]) for key in datasets}


def _statistics(counts: Sequence[int], labels: Sequence[LabelStatistics]) -> Statistics:
    images, labelled, erroneous, unready = counts
    return Statistics(images, labelled, erroneous, unready, labels)


async def _labels_of(session: AsyncSession, datasets: Sequence[int]) -> Mapping[int, Sequence[LabelStatistics]]:
    images, boxes = func.sum(LabelTallyRow.images), func.sum(LabelTallyRow.boxes)
    summed = (
        select(LabelTallyRow.dataset, LabelRow.name, images, boxes)
        .join(LabelRow, LabelRow.key == LabelTallyRow.label)
        .where(LabelTallyRow.dataset.in_(datasets))
        .group_by(LabelTallyRow.dataset, LabelRow.name)
        .having(images > 0)
        .order_by(LabelRow.name)
    )
    found: dict[int, list[LabelStatistics]] = defaultdict(list)
    for dataset, label, image_count, box_count in await session.execute(summed):
        found[dataset].append(LabelStatistics(label, int(image_count), int(box_count)))
    return found
