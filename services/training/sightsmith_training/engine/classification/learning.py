"""How the score of a probe grows with the number of images that it learns from."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.classification.candidates import Trial
from sightsmith_training.engine.classification.folds import Fold, stratify_images
from sightsmith_training.engine.classification.heads import activate
from sightsmith_training.engine.classification.probes import fit_probe, join_features
from sightsmith_training.engine.classification.scores import macro_f1
from sightsmith_training.engine.classification.truth import Probabilities, Rows, Truth
from sightsmith_training.engine.evaluation_result import LearningPoint
from sightsmith_training.engine.heads import Features

_PARTS = 4  # The training images are divided into so many; a probe learns from one of them, from two, and so on.


def learning_points(
    features: Mapping[str, Features],
    probe: Trial,
    truth: Truth,
    folds: Sequence[Fold],
    seed: int,
    groups: npt.NDArray[np.intp] | None = None,
    advance: Callable[[float], None] = lambda share: None,
) -> list[LearningPoint]:
    """Scores out of fold of a design that learned from parts of the images, few images first.

    Every part holds about its share of each label; a bigger set of parts holds the smaller ones.

    Args:
        features: of the training images, by backbone.
        probe: what was tried on all of them.
        truth: shape [images, labels].
        folds: of which those of the first repetition are used.
        seed: decides which images are in which part.
        groups: shape [images]; near duplicates, which have one number, are in one part: copies of what was learned
            already teach nothing. None: there are none.
        advance: called with the share of the work that is done.
    """
    first = [fold for fold in folds if fold.repetition == 0]
    parts = stratify_images(truth, _PARTS, seed, groups)
    points = []
    for count in range(1, _PARTS + 1):
        learned = [fold.learn[parts[fold.learn] < count] for fold in first]
        if count == _PARTS:
            score = probe.scores[0]
        else:
            score = macro_f1(_out_of_fold(features, probe, truth, first, learned), truth, probe.activation)
        points.append(LearningPoint(images=round(np.mean([len(rows) for rows in learned])), score=score))
        advance(count / _PARTS)
    return points


def _out_of_fold(
    features: Mapping[str, Features], probe: Trial, truth: Truth, folds: Sequence[Fold], learned: Sequence[Rows]
) -> Probabilities:
    joined = join_features(features, probe.backbones)
    logits = np.zeros(truth.shape)
    for fold, rows in zip(folds, learned, strict=True):
        head = fit_probe(joined[rows], truth[rows], probe.activation, probe.parameters["strength"])
        logits[fold.test] = head.logits(joined[fold.test])
    return activate(logits, probe.activation)
