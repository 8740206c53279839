"""The graph's suppression is the greedy one of torchvision."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import nms

from sightsmith_training.engine.detection.suppression import overlaps_of, survivors

# On a coarse grid equal boxes, empty boxes and overlaps at exactly the limit are frequent. The limits are numbers that
# a float32 has exactly: whether the one next to 0.6 is above it is a matter of rounding, in which torchvision differs.
_BOXES = st.lists(st.tuples(*[st.integers(0, 8)] * 4, st.integers(0, 2)), min_size=1, max_size=40)


def _greedy(boxes, labels, allowed):
    stay = torch.zeros(len(boxes), dtype=torch.bool)
    scores = torch.linspace(1, 0.1, len(boxes))
    for label in labels.unique():
        (own,) = torch.nonzero(labels == label, as_tuple=True)
        stay[own[nms(boxes[own], scores[own], allowed)]] = True
    return stay


@given(_BOXES, st.sampled_from([0.25, 0.5, 0.75]))
@settings(max_examples=200, deadline=None)
def test_equals_greedy_suppression(drawn, allowed):
    rows = torch.tensor(drawn, dtype=torch.float32)
    boxes = torch.cat([rows[:, :2], rows[:, :2] + rows[:, 2:4]], 1)
    stay = survivors(boxes[None], rows[None, :, 4], allowed)[0]
    assert stay.tolist() == _greedy(boxes, rows[:, 4], allowed).tolist()


def test_a_long_chain_settles_exactly():
    left = torch.arange(300) * 2.0
    boxes = torch.stack([left, torch.zeros(300), left + 10, torch.full((300,), 10.0)], 1)
    labels = torch.zeros(300)
    stay = survivors(boxes[None], labels[None], 0.5)[0]
    assert stay.tolist() == _greedy(boxes, labels, 0.5).tolist()
    assert stay.sum() == 150


def test_images_of_a_batch_do_not_touch_each_other():
    boxes = torch.rand(3, 50, 2).repeat(1, 1, 2) + torch.tensor([0, 0, 0.3, 0.3])
    labels = torch.randint(0, 2, (3, 50))
    together = survivors(boxes, labels, 0.3)
    apart = [survivors(boxes[i : i + 1], labels[i : i + 1], 0.3)[0] for i in range(3)]
    assert torch.equal(together, torch.stack(apart))


def test_empty_boxes_overlap_nothing():
    assert overlaps_of(torch.zeros(1, 2, 4)).sum() == 0
