"""Mosaics show what their boxes say, of images that are learned from."""

import numpy as np
import pytest

from sightsmith_training.engine.detection.labelling import Labelling
from sightsmith_training.engine.detection.mosaics import Mosaics
from sightsmith_training.engine.detection.scenes import Variety

from .shapes import COLOURS, draw_shapes

_SIDE = 192


@pytest.mark.parametrize("share", [1, 0.5], ids=["whole", "part"])
def test_boxes_follow_their_objects_and_images_that_judge_stay_out(share):
    squares, labellings = draw_shapes(12, _SIDE)
    labellings = [Labelling(each.boxes, each.labels, each.boxes) for each in labellings]
    told = [Labelling(each.boxes, np.array([row]), each.ignored) for row, each in enumerate(labellings)]
    mosaics = Mosaics(squares, told, Variety(light=0), 0, np.arange(8))
    seen, most = set(), 0
    for seed in range(60):
        pixels, labelling = mosaics.picture(11, _SIDE, share, np.random.default_rng(seed))
        assert pixels.shape == (_SIDE, _SIDE, 3)
        assert ((labelling.ignored >= 0) & (labelling.ignored <= 1)).all()
        for box, row in zip(labelling.boxes * _SIDE, labelling.labels.tolist(), strict=True):
            left, top, right, bottom = box.round().astype(int)
            middle = pixels[(top + bottom) // 2, (left + right) // 2].astype(int)
            assert np.abs(middle - COLOURS[labellings[row].labels[0]]).max() < 60
        seen |= set(labelling.labels.tolist())
        most = max(most, len(set(labelling.labels.tolist())))
    assert seen == {*range(8), 11}
    assert most >= 3
