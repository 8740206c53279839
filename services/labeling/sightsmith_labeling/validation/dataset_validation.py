"""Validating the datasets of a project as they stand: every image by itself, then all of them together."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from sightsmith.database import Database
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.manifest_check import CheckedLine, Outcome, check_line
from sightsmith_labeling.formats.manifest_rules import ManifestRules
from sightsmith_labeling.images import ImageState, Problem
from sightsmith_labeling.jobs.finding import Finding
from sightsmith_labeling.jobs.running import RunningJob
from sightsmith_labeling.validation.boxes import suspicious_boxes
from sightsmith_labeling.validation.checked_manifest import CheckedManifests, spoils_line
from sightsmith_labeling.validation.duplicates import Look, SamePair, exact_duplicates, near_duplicates
from sightsmith_labeling.validation.label_suspects import LabelledLook, LabelSuspects
from sightsmith_labeling.validation.labels import labels_that_look_alike, unbalanced_labels
from sightsmith_labeling.validation.pixels import suspicious_pixels
from sightsmith_labeling.validation.quality_rules import QualityRules
from sightsmith_labeling.validation.report import Report
from sightsmith_labeling.validation.same_images import SameImages
from sightsmith_labeling.validation.stored_images import StoredImage, manifest_line, stored_images

_PENDING = Problem("WARNING_PENDING_IMAGE", "The image's bytes are not there yet; it is ignored.")
_FAILED = Problem("ERROR_INVALID_IMAGE", "The image's bytes could not be fetched, or are no image.")


class DatasetValidation:
    """One validation of a project's datasets."""

    def __init__(
        self,
        database: Database,
        rules: ManifestRules,
        quality: QualityRules,
        backbone: str,
        object_store_url: str,
    ) -> None:
        """Prepares everything; nothing is read yet.

        Args:
            database: where the images are.
            rules: what a training needs.
            quality: what is worth a warning.
            backbone: by whose embeddings images are compared.
            object_store_url: where the images' bytes are.
        """
        self._database = database
        self._rules = rules
        self._quality = quality
        self._object_store_url = object_store_url
        self._same_images = SameImages(database, backbone, quality.near_duplicate_similarity)
        self._suspects = LabelSuspects(database, backbone, quality)
        self._looks: list[Look] = []
        self._labelled: list[LabelledLook] = []
        self._train_labels: Counter[str] = Counter()
        self._labels: Counter[str] = Counter()
        self._class_ids: dict[str, int] = {}
        self._unmeasured = 0

    async def run(self, job: RunningJob, report: Report) -> dict[str, Any]:
        """Validates, and returns the result."""
        summary = await self._check_images(job, report)
        await job.advance("looking for duplicates", 0)
        exact = list(exact_duplicates(self._looks))
        near = await asyncio.to_thread(self._near_duplicates)
        await report.tell(await self._same_images.findings([*exact, *near]))
        await report.tell(unbalanced_labels(self._train_labels, self._quality))
        await report.tell(labels_that_look_alike(self._labels))
        await job.advance("looking for wrong labels", 0)
        judged, found = await self._suspects.findings(self._labelled)
        await report.tell(found)
        return {"summary": summary, "unmeasured_images": self._unmeasured, "judged_images": judged}

    async def _check_images(self, job: RunningJob, report: Report) -> dict[str, Any]:
        async with stored_images(self._database, job.project) as images:
            self._class_ids = images.class_ids
            splits = tuple(Split) if await images.has_test_images() else (Split.TRAIN,)
            total, done = await images.count(), 0
            with CheckedManifests(self._rules, splits, Path(job.folder)) as manifests:
                async for batch in images.batches():
                    await report.tell(await asyncio.to_thread(self._check_batch, manifests, batch, splits))
                    done += len(batch)
                    await job.advance("checking images", done, total)
                await report.tell(manifests.findings())
                return manifests.summary()

    def _check_batch(
        self, manifests: CheckedManifests, batch: Sequence[StoredImage], splits: Sequence[Split]
    ) -> list[Finding]:
        # Where nothing is labelled in the dataset for testing, a training would split test images off.
        wanted = (stored for stored in batch if stored.split in splits)
        return list(chain.from_iterable(self._check(manifests, stored) for stored in wanted))

    def _check(self, manifests: CheckedManifests, stored: StoredImage) -> Iterator[Finding]:
        image, name = stored.image, str(stored.image.name)
        checked = check_line(manifest_line(stored, self._class_ids, self._object_store_url), self._rules)
        problems = _problems(stored)
        outcome, is_lost = _outcome(stored, checked, problems), image.state is ImageState.FAILED
        yield from manifests.add(stored.split, checked, name, problems, outcome, is_lost)
        yield from suspicious_boxes(name, stored.size, image.annotations, self._quality)
        if stored.signals is None:
            self._unmeasured += 1
        else:
            yield from suspicious_pixels(name, stored.signals, self._quality)
        self._remember(stored)

    def _remember(self, stored: StoredImage) -> None:
        """Keeps what is needed once all images were seen."""
        image, name = stored.image, str(stored.image.name)
        labels = {annotation.label for annotation in image.annotations}
        self._labels.update(labels)
        if stored.split is Split.TRAIN:
            self._train_labels.update(labels)
        if image.sha256 is None:
            return
        digits = (stored.signals or {}).get("dhash")
        self._looks.append(Look(name, image.sha256, stored.split, int(digits, 16) if digits else None))
        if image.labels:
            self._labelled.append(LabelledLook(name, image.sha256, image.labels))

    def _near_duplicates(self) -> Sequence[SamePair]:
        return list(near_duplicates(self._looks, self._quality.near_duplicate_bits))


def _problems(stored: StoredImage) -> Sequence[Problem]:
    """What is wrong with an image beyond what its annotations show."""
    image = stored.image
    if image.state is ImageState.PENDING:
        return (*image.problems, _PENDING)
    if image.state is ImageState.FAILED and not any(map(spoils_line, image.problems)):
        return (*image.problems, _FAILED)
    return image.problems


def _outcome(stored: StoredImage, checked: CheckedLine, problems: Sequence[Problem]) -> Outcome | None:
    """What becomes of an image, where its annotations alone do not tell."""
    if stored.image.state is ImageState.FAILED:
        return Outcome.INVALID
    if stored.image.state is ImageState.PENDING:
        return Outcome.IGNORED
    # An import refused all that was said of the image, and nobody has labelled it since.
    was_refused = checked.outcome is Outcome.IGNORED and any(map(spoils_line, problems))
    return Outcome.INVALID if was_refused else None
