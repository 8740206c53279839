"""Laws of the assignment of points to boxes."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from sightsmith_training.engine.detection.assignment import IGNORED, NO_BOX, Assigner
from sightsmith_training.engine.detection.points import points_of

_SIDE = 128
_NOWHERE = torch.empty(0, 4)
_BOX = st.tuples(st.floats(0, 100), st.floats(0, 100), st.floats(2, 100), st.floats(2, 100))


def _boxes(drawn):
    rows = torch.tensor(drawn, dtype=torch.float32).reshape(-1, 4)
    return torch.cat([rows[:, :2], (rows[:, :2] + rows[:, 2:]).clamp(max=_SIDE)], 1)


@given(st.lists(_BOX, max_size=6))
@settings(max_examples=60, deadline=None)
def test_points_lie_inside_their_boxes_where_any_does(drawn):
    boxes = _boxes(drawn)
    assigned = Assigner(_SIDE).assign(boxes, _NOWHERE)
    points, strides = points_of(_SIDE).split([2, 1], dim=1)
    finest = strides[:, 0] == strides.amin()
    for point in torch.nonzero(assigned != NO_BOX).flatten():
        box = boxes[assigned[point]]
        distances = (points - (box[:2] + box[2:]) / 2).norm(dim=1)
        is_nearest = finest[point] and distances[point] <= distances[finest].amin() + 1e-3
        assert _inside(points, box)[point] or (is_nearest and not _inside(points, box, margin=0.02).any())


def _inside(points, box, margin=0.0):
    return ((points > box[:2] + margin) & (points < box[2:] - margin)).all(1)


@given(st.tuples(*[st.floats(0, 96)] * 2, *[st.floats(2, 100)] * 2))
@settings(max_examples=60, deadline=None)
def test_a_lone_box_of_any_size_gets_points(drawn):
    assigned = Assigner(_SIDE).assign(_boxes([drawn]), _NOWHERE)
    assert (assigned == 0).any()


def test_without_boxes_no_point_has_one():
    assert (Assigner(_SIDE).assign(_NOWHERE, _NOWHERE) == NO_BOX).all()


@given(st.lists(_BOX, max_size=4), st.lists(_BOX, max_size=4))
@settings(max_examples=30, deadline=None)
def test_nothing_is_asked_at_ignored_places_but_the_boxes_there(drawn, ignored):
    boxes, places = _boxes(drawn), _boxes(ignored)
    without, assigned = (Assigner(_SIDE).assign(boxes, each) for each in (_NOWHERE, places))
    assert torch.equal(without >= 0, assigned >= 0)
    assert torch.equal(without[without >= 0], assigned[without >= 0])
    points, strides = points_of(_SIDE).split([2, 1], dim=1)
    cells = torch.cat([points - strides / 2, points + strides / 2], 1)
    touched = (box_iou(cells, places) > 0).any(1)
    assert torch.equal(assigned == IGNORED, touched & (without == NO_BOX))
