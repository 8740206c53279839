"""Which of two models is better on the images that both were judged by."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sightsmith_training.engine.judging.arrays import Flags, Floats
from sightsmith_training.engine.judging.comparison import Comparison, compare_classifiers, compare_detectors
from sightsmith_training.engine.judging.detection_matches import DetectionMatches, match_at
from sightsmith_training.engine.judging.matches import ClassificationMatches, Outcome
from sightsmith_training.engine.reports.image_outcomes import ImageOutcomes
from sightsmith_training.evaluations.answer_table import AnswerTable
from sightsmith_training.evaluations.judged_images import Ranks
from sightsmith_training.evaluations.judged_model import JudgedModel
from sightsmith_training.evaluations.matching import Matches

_IOUS = (0.5, 0.75)
_SEED = 0


@dataclass(frozen=True)
class ComparedImage:
    """What two models say of an image.

    Attributes:
        image: resource name.
        source: where it came from.
        true_labels: what it carries.
        baseline_labels: what the baseline gives it, the surest first.
        candidate_labels: what the candidate gives it, likewise.
    """

    image: str
    source: str
    true_labels: Sequence[str]
    baseline_labels: Sequence[str]
    candidate_labels: Sequence[str]


@dataclass(frozen=True)
class ModelComparison:
    """How a candidate compares with a baseline.

    Attributes:
        images: how many both were judged by; labelled as for the candidate.
        baseline_only: how many images only the baseline was judged by.
        candidate_only: how many images only the candidate was judged by.
        relabelled: how many of the common ones were labelled otherwise for the baseline.
        differing_labels: that only one of the two knows.
        figures: the most telling first.
        both_right: how many images both get right.
        baseline_right_count: how many only the baseline gets right.
        candidate_right_count: how many only the candidate gets right.
        baseline_right: the first of those that only the baseline gets right, the candidate's most confident mistakes.
        candidate_right: the first of those that only the candidate gets right, the baseline's most confident mistakes.
    """

    images: int
    baseline_only: int
    candidate_only: int
    relabelled: int
    differing_labels: Sequence[str]
    figures: Sequence[Comparison]
    both_right: int
    baseline_right_count: int
    candidate_right_count: int
    baseline_right: Sequence[ComparedImage]
    candidate_right: Sequence[ComparedImage]


def compare(baseline: JudgedModel, candidate: JudgedModel, most_shown: int) -> ModelComparison:
    """Compares two models of the same kind that were judged by at least one common image.

    A label that only one model knows is missed by the other.

    Args:
        baseline: what is compared with.
        candidate: what is compared.
        most_shown: how many of the images are told that only one gets right, for each.

    Raises:
        ValueError: if one is a detector and the other is not, or no image is common.
    """
    before, after = ({name: place for place, name in enumerate(one.answers.images)} for one in (baseline, candidate))
    common = sorted(before.keys() & after.keys())
    if baseline.rules.finds_boxes != candidate.rules.finds_boxes or not common:
        raise ValueError("the models are not of one kind, or were judged by different images")
    labels = sorted({*baseline.rules.labels, *candidate.rules.labels})
    said_before = baseline.answers.at([before[image] for image in common])
    said_after = candidate.answers.at([after[image] for image in common])
    old = replace(baseline, answers=said_before.with_truth_of(said_after)).among(labels).matches()
    new = replace(candidate, answers=said_after).among(labels).matches()
    old_ranks, new_ranks = Ranks.of(old), Ranks.of(new)
    only_old, only_new = old_ranks.is_right & ~new_ranks.is_right, new_ranks.is_right & ~old_ranks.is_right
    told = _Told(said_after, old, new)
    return ModelComparison(
        images=len(common),
        baseline_only=len(before) - len(common),
        candidate_only=len(after) - len(common),
        relabelled=said_before.relabelled(said_after),
        differing_labels=sorted({*baseline.rules.labels} ^ {*candidate.rules.labels}),
        figures=list(_figures((baseline.name, candidate.name), old, new)),
        both_right=int((old_ranks.is_right & new_ranks.is_right).sum()),
        baseline_right_count=int(only_old.sum()),
        candidate_right_count=int(only_new.sum()),
        baseline_right=[told.of(place) for place in _first(only_old, new_ranks.rank, most_shown)],
        candidate_right=[told.of(place) for place in _first(only_new, old_ranks.rank, most_shown)],
    )


def _first(wanted: Flags, ranks: Floats, most: int) -> list[int]:
    """The places of those that are wanted, the lowest ranks first."""
    places = np.flatnonzero(wanted)
    shown: list[int] = places[np.argsort(ranks[places], kind="stable")][:most].tolist()
    return shown


class _Told:
    """Tells what both models say of an image."""

    def __init__(self, answers: AnswerTable, baseline: Matches, candidate: Matches) -> None:
        self._answers = answers
        self._labels = candidate.labels
        self._baseline = ImageOutcomes(baseline)
        self._candidate = ImageOutcomes(candidate)

    def of(self, place: int) -> ComparedImage:
        return ComparedImage(
            image=self._answers.images[place],
            source=self._answers.sources[place],
            true_labels=self._answers.true_labels[place],
            baseline_labels=self._said(self._baseline, place),
            candidate_labels=self._said(self._candidate, place),
        )

    def _said(self, outcomes: ImageOutcomes, place: int) -> list[str]:
        said = (one.label for one in outcomes.of(place) if one.outcome is not Outcome.FALSE_NEGATIVE)
        return list(dict.fromkeys(self._labels[label] for label in said))


def _figures(names: tuple[str, str], baseline: Matches, candidate: Matches) -> Iterator[Comparison]:
    match baseline, candidate:
        case DetectionMatches() as old, DetectionMatches() as new:
            for iou in _IOUS:
                yield compare_detectors(names, match_at(old, iou), match_at(new, iou), _SEED)
        case ClassificationMatches() as old, ClassificationMatches() as new:
            yield compare_classifiers(names, old, new, _SEED, "macro-F1")
            yield compare_classifiers(names, old, new, _SEED, "accuracy")
