"""Whether an image and its mirror image mean the same."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.classification.folds import plan_folds
from sightsmith_training.engine.classification.heads import activate
from sightsmith_training.engine.classification.probes import fit_probe, join_features
from sightsmith_training.engine.classification.scores import macro_f1, standard_error_of_gain
from sightsmith_training.engine.classification.truth import Activation, Rows, Truth
from sightsmith_training.engine.heads import Features

_MOST_IMAGES = 600  # Enough to see what matters, and features of their mirror images take seconds.
_STRENGTH = 0.03
_CLEARLY = 2.0  # Standard errors that mirror images must be worse by: one such test in forty is wrong by chance.


def survives_mirroring(
    features: Features,
    truth: Truth,
    activation: Activation,
    seed: int,
    embed_mirrored: Callable[[Rows], Features],
    groups: npt.NDArray[np.intp] | None = None,
) -> bool:
    """Asks a probe: one that has seen images as they are is to name mirror images of others as well as these.

    It loses on them where labels are each other's mirror images, such as arrows to the left and to the right, and where
    what shows a label is never seen mirrored, such as writing. Then nothing should learn from mirrored pictures.

    Args:
        features: of the training images, shape [images, features].
        truth: shape [images, labels].
        activation: behind the head.
        seed: decides which images are asked for, and how they are divided.
        embed_mirrored: gives features of the mirror images of some of the images, by the same network.
        groups: shape [images]; near duplicates, which have one number, are never on both sides: to know an image again
            is to know nothing of its mirror image. None: there are none.
    """
    random = np.random.default_rng(seed)
    rows = np.sort(random.permutation(len(truth))[:_MOST_IMAGES])
    some = truth[rows]
    plain, mirrored = (join_features({"": each}, [""]) for each in (features[rows], embed_mirrored(rows)))
    logits = np.zeros((2, *some.shape))
    for fold in plan_folds(some, seed, None if groups is None else groups[rows]):
        if fold.repetition == 0:
            head = fit_probe(plain[fold.learn], some[fold.learn], activation, _STRENGTH)
            logits[:, fold.test] = head.logits(plain[fold.test]), head.logits(mirrored[fold.test])
    before, after = (activate(each, activation) for each in logits)
    loss = macro_f1(before, some, activation) - macro_f1(after, some, activation)
    return loss <= _CLEARLY * standard_error_of_gain(before, after, some, activation, seed)
