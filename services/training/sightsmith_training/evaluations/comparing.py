"""Which of two models is better on the images that both were judged by."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sightsmith_training.engine.evaluation_result import ImagePrediction
from sightsmith_training.engine.judging.comparison import Comparison, compare_classifiers, compare_detectors
from sightsmith_training.engine.judging.detection_matches import DetectionMatches, match_at
from sightsmith_training.engine.judging.matches import ClassificationMatches
from sightsmith_training.engine.specification import SpecBox
from sightsmith_training.evaluations.judged_images import JudgedImage, judged_by
from sightsmith_training.evaluations.judged_model import JudgedModel
from sightsmith_training.evaluations.matching import Matches

_IOUS = (0.5, 0.75)
_SEED = 0


@dataclass(frozen=True)
class ImagePair:
    """An image as both models answer it."""

    baseline: JudgedImage
    candidate: JudgedImage


@dataclass(frozen=True)
class ModelComparison:
    """How a candidate compares with a baseline.

    Attributes:
        pairs: the images that both were judged by, in the order of their names; labelled as for the candidate.
        baseline_only: how many images only the baseline was judged by.
        candidate_only: how many images only the candidate was judged by.
        relabelled: how many of the common ones were labelled otherwise for the baseline.
        differing_labels: that only one of the two knows.
        figures: the most telling first.
    """

    pairs: Sequence[ImagePair]
    baseline_only: int
    candidate_only: int
    relabelled: int
    differing_labels: Sequence[str]
    figures: Sequence[Comparison]

    @property
    def both_right(self) -> int:
        """How many images both get right."""
        return sum(pair.baseline.is_right and pair.candidate.is_right for pair in self.pairs)

    @property
    def baseline_right(self) -> list[ImagePair]:
        """What only the baseline gets right, the candidate's most confident mistakes first."""
        pairs = [pair for pair in self.pairs if pair.baseline.is_right and not pair.candidate.is_right]
        return sorted(pairs, key=lambda pair: pair.candidate.rank)

    @property
    def candidate_right(self) -> list[ImagePair]:
        """What only the candidate gets right, the baseline's most confident mistakes first."""
        pairs = [pair for pair in self.pairs if pair.candidate.is_right and not pair.baseline.is_right]
        return sorted(pairs, key=lambda pair: pair.baseline.rank)


def compare(baseline: JudgedModel, candidate: JudgedModel) -> ModelComparison:
    """Compares two models of the same kind that were judged by at least one common image.

    A label that only one model knows is missed by the other.

    Raises:
        ValueError: if one is a detector and the other is not, or no image is common.
    """
    before, after = _by_image(baseline.answers), _by_image(candidate.answers)
    common = sorted(before.keys() & after.keys())
    if baseline.rules.finds_boxes != candidate.rules.finds_boxes or not common:
        raise ValueError("the models are not of one kind, or were judged by different images")
    labels = sorted({*baseline.rules.labels, *candidate.rules.labels})
    old = replace(baseline, answers=[_with_truth_of(before[image], after[image]) for image in common]).among(labels)
    new = replace(candidate, answers=[after[image] for image in common]).among(labels)
    old_matches, new_matches = old.matches(), new.matches()
    judged = judged_by(old_matches, old.answers), judged_by(new_matches, new.answers)
    return ModelComparison(
        pairs=[ImagePair(*pair) for pair in zip(*judged, strict=True)],
        baseline_only=len(before) - len(common),
        candidate_only=len(after) - len(common),
        relabelled=sum(_truth(before[image]) != _truth(after[image]) for image in common),
        differing_labels=sorted({*baseline.rules.labels} ^ {*candidate.rules.labels}),
        figures=list(_figures((old.name, new.name), old_matches, new_matches)),
    )


def _by_image(answers: Sequence[ImagePrediction]) -> dict[str, ImagePrediction]:
    return {answer.image: answer for answer in answers}


def _truth(answer: ImagePrediction) -> tuple[list[str], list[SpecBox]]:
    boxes = sorted(answer.true_boxes, key=lambda box: (box.label, box.left, box.top, box.width, box.height))
    return sorted(answer.true_labels), boxes


def _with_truth_of(answer: ImagePrediction, other: ImagePrediction) -> ImagePrediction:
    return answer.model_copy(update={"true_labels": other.true_labels, "true_boxes": other.true_boxes})


def _figures(names: tuple[str, str], baseline: Matches, candidate: Matches) -> Iterator[Comparison]:
    match baseline, candidate:
        case DetectionMatches() as old, DetectionMatches() as new:
            for iou in _IOUS:
                yield compare_detectors(names, match_at(old, iou), match_at(new, iou), _SEED)
        case ClassificationMatches() as old, ClassificationMatches() as new:
            yield compare_classifiers(names, old, new, _SEED, "macro-F1")
            yield compare_classifiers(names, old, new, _SEED, "accuracy")
