"""Labels that are probably wrong, found by confident learning.

Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels" (JAIR 70, 2021): a model
says of every image, without having learnt from it, how likely each class is. A class's threshold is how likely the
model finds it, on average, for the images that carry it. An image that passes the threshold of a class that it does
not carry, more clearly than that of its own, is suspect.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FOLDS = 5
_MAX_ITERATIONS = 300
# Inverse of the regularisation. Of 0.0001 to 1, it ranked flipped labels best; see docs/performance.md.
_STRENGTH = 1.0

Features = npt.NDArray[np.float32]
Classes = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Suspect:
    """An image whose label is probably wrong.

    Attributes:
        place: of the image among those that were judged.
        suggested: the class that it seems to be of.
        confidence: how likely the model finds the given class, 0 to 1.
        suggested_confidence: how likely it finds the other one, 0 to 1.
    """

    place: int
    suggested: int
    confidence: float
    suggested_confidence: float

    @property
    def margin(self) -> float:
        """How sure it is that the label is wrong: from -1, when the model would keep it, to 1."""
        return self.suggested_confidence - self.confidence


def suspects(features: Features, given: Classes, seed: int = 0) -> Sequence[Suspect]:
    """Finds images whose class is probably wrong, the likeliest first.

    Args:
        features: of each image, of shape [images, features].
        given: the class of each image; every class has `FOLDS` images or more, and there are two or more of them.
        seed: decides how the images are dealt into the parts that are learnt from in turn.
    """
    return suspects_of(out_of_sample_probabilities(features, given, seed), given)


def out_of_sample_probabilities(features: Features, given: Classes, seed: int) -> Probabilities:
    """How likely each class is for each image, by a model that has not learnt from the image: [images, classes].

    The root lets every feature count alike (Perronnin et al., "Improving the Fisher kernel", ECCV 2010).
    """
    # Loaded here: more than a second and 60 MB that most workers never need.
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    model = make_pipeline(StandardScaler(), LogisticRegression(C=_STRENGTH, max_iter=_MAX_ITERATIONS))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    evened: Features = np.sign(features) * np.sqrt(np.abs(features))
    # One thread: beside a service at work, more of them wait for each other most of the time.
    with threadpool_limits(1):
        probabilities: Probabilities = cross_val_predict(model, evened, given, cv=folds, method="predict_proba")
    return probabilities


def suspects_of(probabilities: Probabilities, given: Classes) -> Sequence[Suspect]:
    """Applies the method to probabilities that are known, of shape [images, classes].

    Args:
        probabilities: out of sample, each row summing to 1.
        given: the class of each image, 0 to classes - 1; each class has an image.
    """
    places = np.arange(len(given))
    of_given = probabilities[places, given]
    thresholds = np.bincount(given, weights=of_given) / np.bincount(given)
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    likeliest = confident.argmax(axis=1)
    is_suspect = (confident[places, likeliest] >= 0) & (likeliest != given)
    found = [
        Suspect(place, int(likeliest[place]), float(of_given[place]), float(probabilities[place, likeliest[place]]))
        for place in np.flatnonzero(is_suspect).tolist()
    ]
    return sorted(found, key=lambda suspect: (-suspect.margin, suspect.place))
