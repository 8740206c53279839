"""What to do to get a better model, computed from its mistakes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from sightsmith.counting import counted
from sightsmith_training.engine.judging.arrays import Floats
from sightsmith_training.engine.judging.counts import Counts
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.engine.judging.intervals import Interval
from sightsmith_training.engine.judging.learning_curve import LearningCurve
from sightsmith_training.engine.judging.matches import ClassificationMatches
from sightsmith_training.engine.judging.mistakes import Mistake, find_mistakes
from sightsmith_training.engine.judging.overlaps import areas
from sightsmith_training.engine.judging.rankings import Ranking
from sightsmith_training.engine.judging.tiny_boxes import TinyBoxes

AdviceCode = Literal[
    "FEW_TEST_IMAGES",
    "TEST_IMAGES_DIFFER",
    "SCENES_COMPOSED",
    "TRAINING_LIMITED",
    "BUDGET_EXCEEDED",
    "SUSPICIOUS_LABELS",
    "LABELS_ALIKE",
    "MORE_IMAGES",
    "TINY_OBJECTS",
    "SMALL_BOXES_MISSED",
    "UNNAMED_KIND",
    "SPLIT_LABEL",
    "RAISE_THRESHOLD",
    "LOWER_THRESHOLD",
]

# What is worth saying was chosen by judgement: a piece of advice should be right nearly always, and be read.
_WIDE_INTERVAL = 0.1
_FEW_IMAGES = 5
_FAR_ABOVE = 0.1
_SURE = 0.9  # A confidence; told in the text of SUSPICIOUS_LABELS.
_TRUSTED_WHEN_SURE = 0.8  # Share of the sure predictions that are right.
_REPEATED = 3  # Fewer mistakes of a kind may be chance.
_EXCELLENT = 0.95  # A mean average precision of at least this needs no other training images.
_GOOD = 0.8  # A precision or recall that needs no advice.
_WORTHWHILE = 0.1  # A gain in precision or recall.
_KEPT = 0.9  # Share of the one figure that must stay when the other is raised.
_BEARABLE = 0.5  # Below this precision more predictions are wrong than right.
_LITTLE_GAIN = 0.005
_SMALL_SIDE = 0.05  # Share of the sides of the image.
_SHARE_OF_TINY = 0.01  # Of the boxes; fewer hardly change a figure.
_AT_MOST = 3  # Pieces of advice of one kind.
_STEPS = np.round(np.arange(0.01, 1, 0.01), 2)


@dataclass(frozen=True)
class Advice:
    """One thing to do.

    Attributes:
        code: of what kind it is.
        text: for the owner of the images, in plain words.
        labels: names of the labels that it is about.
        images: resource names of the images that show why, the most telling first.
    """

    code: AdviceCode
    text: str
    labels: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingFacts:
    """What is known of the training.

    Attributes:
        images: how many training images carry each label, in the order of the model.
        cross_validated: the headline figure by cross-validation on the training images, if known.
        learning_curve: of the headline figure over the number of all training images, if known.
        composed: whether the training images are pictures of objects, and the model learned from scenes made of them.
        all_images: how many training images there are, whatever labels they carry; 0 if that is not known.
        limits: what the training had to do without, in plain words.
        budget_exceeded: by how much, in plain words; empty if it was not.
        tiny: of a detector, which training boxes are too small for its input; None if that is not known.
    """

    images: Sequence[int]
    cross_validated: float | None = None
    learning_curve: LearningCurve | None = None
    composed: bool = False
    all_images: int = 0
    limits: Sequence[str] = ()
    budget_exceeded: str = ""
    tiny: TinyBoxes | None = None


@dataclass(frozen=True)
class _Findings:
    matches: ClassificationMatches | DetectionMatches
    headline: Interval
    training: TrainingFacts

    @cached_property
    def mistakes(self) -> list[Mistake]:
        return find_mistakes(self.matches)

    @cached_property
    def counts(self) -> Counts:
        return self.matches.counts.total(axis=0)

    @cached_property
    def rankings(self) -> list[Ranking]:
        return self.matches.rankings

    @cached_property
    def usual_images(self) -> float:
        """Half of the labels have fewer training images than this."""
        return float(np.median(self.training.images))

    @property
    def figure(self) -> str:
        return "mean average precision" if isinstance(self.matches, DetectionMatches) else "macro-F1"

    def names(self, *labels: int) -> tuple[str, ...]:
        return tuple(self.matches.labels[label] for label in labels)

    def images(self, mistakes: Iterable[Mistake]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.matches.images[mistake.image].image for mistake in mistakes))


def advise(
    matches: ClassificationMatches | DetectionMatches, headline: Interval, training: TrainingFacts
) -> list[Advice]:
    """Looks for everything that would help: first what keeps the figures from being true, then what to do.

    Args:
        matches: of the test images, or of cross-validation.
        headline: macro-F1 of a classifier or mean average precision of a detector, on the same images.
        training: what is known of the training.
    """
    findings = _Findings(matches, headline, training)
    rules = (
        _few_test_images,
        _test_images_differ,
        _scenes_composed,
        _training_limited,
        _budget_exceeded,
        _suspicious_labels,
        _labels_alike,
        _more_images,
        _tiny_objects,
        _small_boxes_missed,
        _unnamed_kinds,
        _labels_to_split,
        _thresholds_to_raise,
        _thresholds_to_lower,
    )
    return [advice for rule in rules for advice in rule(findings)]


def _few_test_images(findings: _Findings) -> Iterator[Advice]:
    headline = findings.headline
    if headline.upper - headline.lower <= _WIDE_INTERVAL:
        return
    images = (findings.matches.counts.positives > 0).sum(axis=0)
    value, lower, upper = (f"{figure:.2f}" for figure in (headline.value, headline.lower, headline.upper))
    few = findings.names(*np.flatnonzero(images < _FEW_IMAGES).tolist())
    text = (
        f"The figures come from {counted(len(findings.matches.images), 'image')} only: a {findings.figure} of "
        f"{value} may as well be {' or '.join(end for end in (lower, upper) if end != value)}. Label more test images."
    )
    yield Advice("FEW_TEST_IMAGES", text, few)


def _test_images_differ(findings: _Findings) -> Iterator[Advice]:
    expected, headline = findings.training.cross_validated, findings.headline
    if findings.training.composed or expected is None or expected <= max(headline.value + _FAR_ABOVE, headline.upper):
        return
    text = (
        f"Cross-validation on the training images promised a {findings.figure} of {expected:.2f}, the test images give "
        f"{headline.value:.2f}: they differ from the training images. Train with images like those of the test."
    )
    yield Advice("TEST_IMAGES_DIFFER", text, images=findings.images(findings.mistakes))


def _scenes_composed(findings: _Findings) -> Iterator[Advice]:
    training, headline = findings.training, findings.headline
    if not training.composed or headline.value >= _EXCELLENT:
        return
    promised = "" if training.cross_validated is None else f"; composed ones give {training.cross_validated:.2f}"
    text = (
        f"The model learned from composed scenes, and the test images give a {findings.figure} of "
        f"{headline.value:.2f}{promised}. Give training images without labels that look like the surroundings in the "
        "test images, and more pictures of the objects; or boxes on training photographs, which teach most."
    )
    single = findings.names(*np.flatnonzero(np.asarray(training.images) == 1).tolist())
    if single:
        names = ", ".join(f"'{name}'" for name in single)
        text += f" There is one picture only of {names}."
    yield Advice("SCENES_COMPOSED", text, single, findings.images(findings.mistakes))


def _training_limited(findings: _Findings) -> Iterator[Advice]:
    return (Advice("TRAINING_LIMITED", text) for text in findings.training.limits)


def _budget_exceeded(findings: _Findings) -> Iterator[Advice]:
    if findings.training.budget_exceeded:
        yield Advice("BUDGET_EXCEEDED", findings.training.budget_exceeded)


def _suspicious_labels(findings: _Findings) -> Iterator[Advice]:
    suspicious = [mistake for mistake in findings.mistakes if mistake.confidence >= _SURE]
    if not suspicious or not _can_be_believed(findings.rankings):
        return
    images = findings.images(suspicious)
    labels = findings.names(*sorted({label for mistake in suspicious for label in _labels_of(mistake)}))
    text = (
        f"Look at the labels of {counted(len(images), 'image')}: the model is at least 90 % sure of something that is "
        "not labelled there."
    )
    yield Advice("SUSPICIOUS_LABELS", text, labels, images)


def _can_be_believed(rankings: Sequence[Ranking]) -> bool:
    """Whether the model is mostly right when it is sure; else its mistakes say nothing about the labels."""
    sure = np.concatenate([ranking.right[ranking.confidences >= _SURE] for ranking in rankings])
    return bool(sure.size) and bool(sure.mean() >= _TRUSTED_WHEN_SURE)


def _labels_of(mistake: Mistake) -> list[int]:
    return [label for label in (mistake.labelled, mistake.predicted) if label is not None]


def _labels_alike(findings: _Findings) -> Iterator[Advice]:
    pairs = Counter(mistake.pair for mistake in findings.mistakes if mistake.pair)
    about = Counter(label for mistake in findings.mistakes for label in {*_labels_of(mistake)})
    for pair, times in pairs.most_common(_AT_MOST):
        labels = {*pair}
        # Those that are about both are counted for each.
        concerned = sum(about[label] for label in labels) - times * (len(labels) - 1)
        if times < _REPEATED or times < concerned / 3:
            continue
        first, second = findings.names(*pair)
        text = (
            f"'{first}' and '{second}' are taken for each other: {times} of the {concerned} errors with them. Add "
            "images that show what tells them apart; if nothing does, make them one label."
        )
        images = findings.images(mistake for mistake in findings.mistakes if mistake.pair == pair)
        yield Advice("LABELS_ALIKE", text, (first, second), images)


def _more_images(findings: _Findings) -> Iterator[Advice]:
    curve, all_images = findings.training.learning_curve, findings.training.all_images
    gain = None if curve is None or not all_images else curve.gain_of_doubling(all_images)
    if gain is not None and gain < _LITTLE_GAIN:
        return
    images, recall = findings.training.images, findings.counts.recall
    wanting = [
        label
        for label in np.flatnonzero((findings.counts.positives > 0) & (recall < _GOOD)).tolist()
        if 0 < images[label] <= findings.usual_images
    ]
    # On a power law of the error the next image gains in proportion to the error, and less the more there are.
    wanting.sort(key=lambda label: -(1 - recall[label]) / images[label])
    for place, label in enumerate(wanting[:_AT_MOST]):
        (name,) = findings.names(label)
        text = (
            f"{counted(images[label], 'more image')} of '{name}' would help {'most' if place == 0 else 'too'}: it has "
            f"{counted(images[label], 'training image')}, and is found in "
            f"{findings.counts.true_positives[label]:.0f} of {counted(int(findings.counts.positives[label]), 'case')}."
        )
        if gain is not None and place == 0:
            text += f" Twice as many images of all labels should raise the {findings.figure} by about {gain:.2f}."
        missed = findings.images(mistake for mistake in findings.mistakes if mistake.labelled == label)
        yield Advice("MORE_IMAGES", text, (name,), missed)


def _tiny_objects(findings: _Findings) -> Iterator[Advice]:
    tiny = findings.training.tiny
    if tiny is not None and sum(tiny.counts) >= max(_REPEATED, _SHARE_OF_TINY * tiny.boxes):
        yield Advice("TINY_OBJECTS", tiny.text, findings.names(*np.flatnonzero(tiny.counts).tolist()))


def _small_boxes_missed(findings: _Findings) -> Iterator[Advice]:
    matches = findings.matches
    if not isinstance(matches, DetectionMatches):
        return
    image_areas = np.array([image.width * image.height for image in matches.images], dtype=np.float64)
    small = areas(matches.truths.boxes) < _SMALL_SIDE**2 * image_areas[matches.truths.images]
    missed, missed_small = matches.missed, matches.missed & small
    share, share_of_others = missed[small].mean() if small.any() else 0, missed[~small].mean() if not small.all() else 0
    if missed_small.sum() < _REPEATED or share < share_of_others + _WORTHWHILE:
        return
    text = (
        f"{missed_small.sum()} of {small.sum()} boxes smaller than a twentieth of the picture's sides are missed, and "
        f"{missed[~small].sum()} of {(~small).sum()} others. Take pictures from nearer, or cut them into parts."
    )
    labels = findings.names(*np.unique(matches.truths.labels[missed_small]).tolist())
    positions = dict.fromkeys(matches.truths.images[missed_small].tolist())
    yield Advice("SMALL_BOXES_MISSED", text, labels, tuple(matches.images[position].image for position in positions))


def _unnamed_kinds(findings: _Findings) -> Iterator[Advice]:
    invented = Counter(mistake.predicted for mistake in findings.mistakes if mistake.labelled is None)
    for label, times in invented.most_common(_AT_MOST):
        if label is None or times < _REPEATED or findings.counts.precision[label] >= _GOOD:
            continue
        (name,) = findings.names(label)
        text = (
            f"'{name}' is seen {times} times where nothing is labelled. If that is a kind of thing that looks like it, "
            "make this kind a label of its own, or add such images without labels."
        )
        images = (mistake for mistake in findings.mistakes if mistake.labelled is None and mistake.predicted == label)
        yield Advice("UNNAMED_KIND", text, (name,), findings.images(images))


def _labels_to_split(findings: _Findings) -> Iterator[Advice]:
    missed = Counter(mistake.labelled for mistake in findings.mistakes if mistake.predicted is None)
    for label, times in missed.most_common(_AT_MOST):
        if label is None or times < _REPEATED or findings.counts.recall[label] >= _GOOD:
            continue
        if findings.training.images[label] <= findings.usual_images:
            continue  # More images come first.
        (name,) = findings.names(label)
        text = (
            f"'{name}' is missed {times} times though it has "
            f"{counted(findings.training.images[label], 'training image')}. If it stands for things that look "
            "different, make each a label of its own."
        )
        images = (mistake for mistake in findings.mistakes if mistake.predicted is None and mistake.labelled == label)
        yield Advice("SPLIT_LABEL", text, (name,), findings.images(images))


def _thresholds_to_raise(findings: _Findings) -> Iterator[Advice]:
    now, changes = findings.counts, []
    for label in np.flatnonzero(
        (now.positives >= _FEW_IMAGES) & (now.precision > 0) & (now.precision < _GOOD)
    ).tolist():
        threshold = float(findings.matches.thresholds[label])
        higher = _STEPS[threshold < _STEPS]
        then = findings.rankings[label].at(higher)
        bearable = then.recall >= _KEPT * now.recall[label]
        changes += _best_change(label, higher, np.where(bearable, then.precision - now.precision[label], 0.0))
    return _threshold_advice(findings, "RAISE_THRESHOLD", changes)


def _thresholds_to_lower(findings: _Findings) -> Iterator[Advice]:
    now, changes = findings.counts, []
    for label in np.flatnonzero((now.positives >= _FEW_IMAGES) & (now.recall < _GOOD)).tolist():
        threshold = float(findings.matches.thresholds[label])
        lower = _STEPS[threshold > _STEPS][::-1]
        then = findings.rankings[label].at(lower)
        bearable = then.precision >= max(_KEPT * now.precision[label], _BEARABLE)
        changes += _best_change(label, lower, np.where(bearable, then.recall - now.recall[label], 0.0))
    return _threshold_advice(findings, "LOWER_THRESHOLD", changes)


@dataclass(frozen=True)
class _Change:
    """Another threshold for a label, and what it gains in precision or recall."""

    label: int
    threshold: float
    gain: float


def _best_change(label: int, thresholds: Floats, gain: Floats) -> list[_Change]:
    """The nearest of the thresholds that gain most, if that is worthwhile."""
    if gain.max(initial=0.0) < _WORTHWHILE:
        return []
    best = int(gain.argmax())
    return [_Change(label, float(thresholds[best]), float(gain[best]))]


def _threshold_advice(
    findings: _Findings, code: Literal["RAISE_THRESHOLD", "LOWER_THRESHOLD"], changes: list[_Change]
) -> Iterator[Advice]:
    now, matches = findings.counts, findings.matches
    for change in sorted(changes, key=lambda change: -change.gain)[:_AT_MOST]:
        label = change.label
        then = findings.rankings[label].at(np.array([change.threshold]))
        text = (
            f"{'Raise' if code == 'RAISE_THRESHOLD' else 'Lower'} the threshold of '{matches.labels[label]}' from "
            f"{matches.thresholds[label]:.2f} to {change.threshold:.2f}: precision would go from "
            f"{now.precision[label]:.2f} to {then.precision[0]:.2f} and recall from {now.recall[label]:.2f} to "
            f"{then.recall[0]:.2f} on these images."
        )
        yield Advice(code, text, findings.names(label))
