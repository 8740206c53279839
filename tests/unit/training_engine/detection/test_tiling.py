"""Tiles see what the enlarged input as a whole would show, and count every point of it once."""

import io

import numpy as np
import pytest
import torch

from sightsmith_training.engine.detection.detecting import network_finder, onnx_finder
from sightsmith_training.engine.detection.detector import Detector
from sightsmith_training.engine.detection.detector_export import export_detector, trace_detector
from sightsmith_training.engine.detection.network import NanoDet
from sightsmith_training.engine.detection.points import points_of
from sightsmith_training.engine.detection.tiling import enlarge, tiles_of

from .shapes import draw_shapes

_SIDE = 160


@pytest.mark.parametrize("enlargement", [1, 2, 4])
def test_every_point_of_the_enlarged_input_counts_once(enlargement):
    tiles = tiles_of(_SIDE, enlargement)
    counted = torch.cat([tile.points for tile in tiles])
    assert sorted(map(tuple, counted.tolist())) == sorted(map(tuple, points_of(_SIDE * enlargement).tolist()))
    for tile in tiles:
        assert 0 <= min(tile.left, tile.top) <= max(tile.left, tile.top) <= _SIDE - tile.side
        offset = torch.tensor([tile.left, tile.top, 0]) * enlargement
        assert torch.equal(points_of(tile.side * enlargement)[tile.positions] + offset, tile.points)


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    network = NanoDet(2)
    for head in network.heads:
        torch.nn.init.normal_(head.weight)  # Scores that are all alike have no order.
    return Detector(network, _SIDE, enlargement=2)


def test_points_away_from_the_edges_of_tiles_answer_as_in_the_whole(detector):
    pixels = torch.from_numpy(draw_shapes(1, _SIDE)[0])
    with torch.inference_mode():
        ours, whole = detector._answers(pixels), detector.network(enlarge(pixels, 2))
    places = {tuple(point): place for place, point in enumerate(points_of(2 * _SIDE).tolist())}
    order = [places[tuple(point)] for point in detector.points.tolist()]
    differences = (ours - whole[:, order]).abs().amax(dim=(0, 2))
    # The coarsest points see farther than the margin reaches; of the finest hardly any do.
    finest = detector.points[:, 2] == 8
    assert differences[finest].median() < 1e-3 * whole.abs().max()
    assert differences.max() < 0.1 * whole.abs().max()


def test_both_exports_say_what_the_network_says_for_any_batch(detector):
    pixels = draw_shapes(3, _SIDE)[0]
    finders = [network_finder(detector), onnx_finder(export_detector(detector, ["a", "b"]), 1)]
    finders.append(network_finder(torch.jit.load(io.BytesIO(trace_detector(detector, ["a", "b"])))))
    for count in (1, 3):
        wanted, *others = [find(np.ascontiguousarray(pixels[:count])) for find in finders]
        for found in others:
            np.testing.assert_allclose(found[1], wanted[1], atol=1e-4)
