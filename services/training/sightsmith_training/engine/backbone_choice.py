"""Which pretrained networks a classifier is tried on. Needs no torch: the settings ask, too."""

from collections.abc import Collection, Sequence

from sightsmith_training.engine.catalogue import CATALOGUE, Backbone
from sightsmith_training.engine.specification import TrainingOptions

EMBEDDING_BACKBONE = CATALOGUE[1]
"""Images are embedded by this one, unless the settings say otherwise; quick trainings learn from it alone.

EfficientNet-Lite1, because its features are worth what they cost: on the training images of `photos.zip` its probe has
a macro-F1 out of fold of 0.88 to 0.90 (four seeds) where Lite0 has 0.85 and Lite2 0.89 to 0.91; an image takes 1.4
times as long as with Lite0, with Lite2 1.7 times. Similarities, and so the thresholds of near duplicates, come out
alike: of 65,341 pairs of different photographs 4 are as similar as 0.85, with either network.
"""

# Of the seconds that a training may take: the share that its features may take, on one core.
_EMBEDDING_SHARE = 0.5


def backbones_to_try(
    options: TrainingOptions, seconds: float, known: Collection[str], images: int, extra: Sequence[Backbone] = ()
) -> list[Backbone]:
    """Chooses from the catalogue, in its order, and then from what is there beside it, from cheap to dear.

    Decided by what networks are known to cost, not by the clock, so that it is the same on every machine.

    Args:
        options: the user's wishes. Where seconds count and none are named, it is what images are embedded by: the same
            model whether features come with the snapshot or have to be computed.
        seconds: that the training may take.
        known: content names of the backbones whose features came with the snapshot.
        images: how many there are.
        extra: backbones beside those of the catalogue.

    Returns:
        At least one.
    """
    if options.effort == "fast" and options.budget_seconds is None:
        return [backbone for backbone in CATALOGUE if backbone.content_name in known] or [EMBEDDING_BACKBONE]
    left = _EMBEDDING_SHARE * seconds
    chosen: list[Backbone] = []
    for backbone in (*CATALOGUE, *sorted(extra, key=lambda backbone: backbone.cost)):
        left -= 0.0 if backbone.content_name in known else backbone.cost * images
        if left >= 0 or not chosen:
            chosen.append(backbone)
    return chosen
