"""Moving labelled images from the dataset for training to the dataset for testing, label by label."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database, utc_now
from sightsmith.errors import FailedPreconditionError, FieldViolation
from sightsmith.names import DatasetName, ProjectName
from sightsmith_labeling import changes
from sightsmith_labeling.arrays import is_one_of_keys, is_one_of_texts
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.labelled_images import labelled_images
from sightsmith_labeling.projects import require_project
from sightsmith_labeling.splitting.auto_split import AutoSplit
from sightsmith_labeling.splitting.candidates import SplitImage, split_image
from sightsmith_labeling.splitting.choice import choose_test_images
from sightsmith_labeling.tables import DatasetRow, ImageRow

_TEST_DATASET = "test"


@dataclass(frozen=True)
class LabelSplit:
    """A label and its images after a distribution."""

    label: str
    train_image_count: int
    test_image_count: int
    train_box_count: int
    test_box_count: int


@dataclass(frozen=True)
class Distribution:
    """How the labelled images of a project are distributed.

    Attributes:
        moved_image_count: images that moved, or would.
        unready_image_count: labelled images that stay because their bytes are not there.
        labels: ordered by name.
    """

    moved_image_count: int
    train_image_count: int
    test_image_count: int
    unready_image_count: int
    labels: Sequence[LabelSplit]


class Distributions:
    """Distributes the images of projects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def distribute(
        self, project: ProjectName, split: AutoSplit, *, allow_untested_labels: bool, validate_only: bool
    ) -> Distribution:
        """Moves images until each label has its share of test images.

        Images that are changed meanwhile move as well; those that are deleted or lose their labels do not.

        Args:
            project: whose images.
            split: how many, and the seed.
            allow_untested_labels: whether a label may stay without a test image.
            validate_only: whether nothing is to be moved.

        Raises:
            NotFoundError: if the project does not exist.
            FailedPreconditionError: with the reason NOT_ENOUGH_DATA, if there is nothing to move, or a label has too
                few images to be on both sides; the violations name each one.
        """
        by_split, unready = await self._read(project)
        # What is in both datasets is a leak already; validation tells of it, and it must not be counted twice.
        tested = {image.sha256 for image in by_split[Split.TEST]}
        candidates = [image for image in by_split[Split.TRAIN] if image.sha256 not in tested]
        moving = await asyncio.to_thread(choose_test_images, candidates, split, by_split[Split.TEST])
        train = [image for image in by_split[Split.TRAIN] if image.sha256 not in moving]
        test = by_split[Split.TEST] + [image for image in by_split[Split.TRAIN] if image.sha256 in moving]
        distribution = Distribution(len(moving), len(train), len(test), unready, _labels(train, test))
        if not allow_untested_labels:
            _require_tests(project, distribution)
        if moving and not validate_only:
            await self._move(project, moving, split)
        return distribution

    async def _read(self, project: ProjectName) -> tuple[dict[Split, list[SplitImage]], int]:
        async with self._database.transaction() as session:
            await require_project(session, project)
        by_split: dict[Split, list[SplitImage]] = {split: [] for split in Split}
        async with labelled_images(self._database, project) as images:
            unready = await images.count_unready()
            async for image in images.read():
                by_split[image.split].append(split_image(image.sha256, image.annotations, image.signals))
        return by_split, unready

    async def _move(self, project: ProjectName, sha256s: Iterable[str], split: AutoSplit) -> None:
        async with self._database.transaction() as session:
            source, target = await _datasets(session, project)
            there = select(ImageRow.sha256).where(ImageRow.dataset == target.key, ImageRow.sha256.is_not(None))
            # Locked in the order of all writers, so that no two wait for each other.
            wanted = (
                select(ImageRow.sequence, ImageRow.id)
                .where(ImageRow.dataset == source.key, is_one_of_texts(ImageRow.sha256, sha256s), ImageRow.is_labelled)
                .where(ImageRow.sha256.not_in(there))
                .order_by(ImageRow.sequence)
                .with_for_update()
            )
            locked = dict((await session.execute(wanted)).tuples().all())
            moved = (
                update(ImageRow)
                .where(is_one_of_keys(ImageRow.sequence, locked))
                .values(dataset=target.key, revision=ImageRow.revision + 1, update_time=utc_now())
            )
            await session.execute(moved, execution_options={"synchronize_session": False})
            name = DatasetName(project.project, target.id)
            images, how = list(locked.values()), {"test_fraction": split.test_fraction, "seed": split.seed}
            changes.record_images(session, project.project, name, "images.distribute", images, **how)


async def _datasets(session: AsyncSession, project: ProjectName) -> tuple[DatasetRow, DatasetRow]:
    """The datasets for training and for testing, locked against another distribution; the latter is made if missing."""
    made = insert(DatasetRow).values(project=project.project, id=_TEST_DATASET, split=Split.TEST.value)
    await session.execute(made.on_conflict_do_nothing())
    wanted = select(DatasetRow).where(DatasetRow.project == project.project).order_by(DatasetRow.key)
    rows = {row.split: row for row in await session.scalars(wanted.with_for_update(key_share=True))}
    if Split.TEST not in rows:
        message = f"the dataset {_TEST_DATASET} of {project} is not for testing, and there is no other that is"
        raise FailedPreconditionError(message)
    return rows[Split.TRAIN], rows[Split.TEST]


def _labels(train: Sequence[SplitImage], test: Sequence[SplitImage]) -> Sequence[LabelSplit]:
    (train_images, train_boxes), (test_images, test_boxes) = _counts(train), _counts(test)
    return [
        LabelSplit(label, train_images[label], test_images[label], train_boxes[label], test_boxes[label])
        for label in sorted(train_images.keys() | test_images.keys())
    ]


def _counts(images: Sequence[SplitImage]) -> tuple[Counter[str], Counter[str]]:
    """Images and boxes of each label."""
    image_counts: Counter[str] = Counter()
    box_counts: Counter[str] = Counter()
    for image in images:
        for label, boxes in image.labels:
            image_counts[label] += 1
            box_counts[label] += boxes
    return image_counts, box_counts


def _require_tests(project: ProjectName, distribution: Distribution) -> None:
    untested = [label for label in distribution.labels if not label.test_image_count]
    if distribution.labels and not untested:
        return
    code = "ERROR_INSUFFICIENT_IMAGES_PER_LABEL_FOR_DISTRIBUTE"
    names = ", ".join(repr(label.label) for label in untested[:10]) or "no label has an image at all"
    raise FailedPreconditionError(
        f"{project} has too few labelled images for a training and a test dataset: {names} [{code}]",
        reason="NOT_ENOUGH_DATA",
        metadata={"code": code},
        violations=[
            FieldViolation(
                f"labels[{label.label!r}]",
                f"has {label.train_image_count} images, none of which can be spared for testing",
            )
            for label in untested
        ],
    )
