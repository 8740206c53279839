"""Telling of labels that are probably wrong, by what the images' embeddings say."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sightsmith.database import Database
from sightsmith_labeling.embeddings.store import vectors_of
from sightsmith_labeling.jobs.finding import Finding, Severity
from sightsmith_labeling.validation.quality_rules import QualityRules
from sightsmith_labeling.validation.wrong_labels import FOLDS, Features, Suspect, suspects

_VECTORS_AT_ONCE = 1000
# Where images carry several labels, each label is judged by itself: that many judgements are made in all.
_MOST_JUDGEMENTS = 200_000


class LabelledLook(NamedTuple):
    """An image with labels of the whole."""

    image: str
    sha256: str
    labels: tuple[str, ...]


class LabelSuspects:
    """Looks for wrong labels of whole images. Those of boxes are not judged: there are no embeddings of boxes."""

    def __init__(self, database: Database, backbone: str, rules: QualityRules) -> None:
        self._database = database
        self._backbone = backbone
        self._rules = rules

    async def findings(self, images: Sequence[LabelledLook]) -> tuple[int, Sequence[Finding]]:
        """Looks for wrong labels; returns how many images were judged, and the likeliest first."""
        judged, features = await self._with_features(self._sample(images))
        if not judged:
            return 0, ()
        is_single = all(len(image.labels) == 1 for image in judged)
        judge = _judge_single if is_single else _judge_each
        count, found = await asyncio.to_thread(judge, judged, features)
        ranked = sorted(found, key=lambda finding: (-float(finding.details["margin"]), finding.resource))
        return count, ranked[: self._rules.max_suspect_labels]

    def _sample(self, images: Sequence[LabelledLook]) -> Sequence[LabelledLook]:
        """As many images as may be judged, the same ones every time."""
        most = self._rules.max_judged_images
        labels = {label for image in images for label in image.labels}
        if any(len(image.labels) > 1 for image in images):
            most = min(most, _MOST_JUDGEMENTS // len(labels))
        if len(images) <= most:
            return images
        return sorted(images, key=lambda image: hashlib.sha256(image.sha256.encode()).digest())[:most]

    async def _with_features(self, images: Sequence[LabelledLook]) -> tuple[Sequence[LabelledLook], Features]:
        """Those of the images that have embeddings, and these, [images, features]."""
        known: list[LabelledLook] = []
        features: list[Features] = []
        for begin in range(0, len(images), _VECTORS_AT_ONCE):
            some = images[begin : begin + _VECTORS_AT_ONCE]
            async with self._database.transaction() as session:
                vectors = await vectors_of(session, {image.sha256 for image in some}, self._backbone)
            there = [image for image in some if image.sha256 in vectors]
            known += there
            features += [np.stack([vectors[image.sha256] for image in there])] if there else []
        return known, np.concatenate(features) if features else np.empty((0, 0), np.float32)


def _judge_single(images: Sequence[LabelledLook], features: Features) -> tuple[int, Sequence[Finding]]:
    """Judges images with one label each, among the labels that have enough images to learn from."""
    counts = Counter(image.labels[0] for image in images)
    labels = sorted(label for label, count in counts.items() if count >= FOLDS)
    if len(labels) < 2:
        return 0, ()
    class_of = {label: number for number, label in enumerate(labels)}
    places = [place for place, image in enumerate(images) if image.labels[0] in class_of]
    given = np.array([class_of[images[place].labels[0]] for place in places])
    found = suspects(features[places], given)
    return len(places), [_other_label(images[places[one.place]], labels[one.suggested], one) for one in found]


def _judge_each(images: Sequence[LabelledLook], features: Features) -> tuple[int, Sequence[Finding]]:
    """Judges label by label whether an image carries it rightly, or should."""
    found: list[Finding] = []
    is_judged = False
    for label in sorted({label for image in images for label in image.labels}):
        given = np.array([label in image.labels for image in images]).astype(np.int64)
        if min(given.sum(), len(given) - given.sum()) >= FOLDS:
            is_judged = True
            found += [_own_label(images[one.place], label, one) for one in suspects(features, given)]
    return len(images) if is_judged else 0, found


def _other_label(image: LabelledLook, suggested: str, suspect: Suspect) -> Finding:
    message = f"the label {image.labels[0]!r} is probably wrong: the image looks like {suggested!r}"
    details = {"label": image.labels[0], "suggested_label": suggested, **_figures(suspect)}
    return Finding(Severity.WARNING, "WARNING_SUSPECT_LABEL", message, resource=image.image, details=details)


def _own_label(image: LabelledLook, label: str, suspect: Suspect) -> Finding:
    details = {"label": label, **_figures(suspect)}
    if suspect.suggested:
        code, message = "WARNING_MISSING_LABEL", f"the label {label!r} is probably missing"
    else:
        code, message = "WARNING_SUSPECT_LABEL", f"the label {label!r} is probably wrong"
    return Finding(Severity.WARNING, code, message, resource=image.image, details=details)


def _figures(suspect: Suspect) -> dict[str, float]:
    return {
        "confidence": round(suspect.confidence, 4),
        "suggested_confidence": round(suspect.suggested_confidence, 4),
        "margin": round(suspect.margin, 4),
    }
