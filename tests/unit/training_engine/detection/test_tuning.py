"""Training learns, repeats itself, and goes on from a checkpoint as if it had not stopped."""

from functools import partial

import numpy as np
import pytest
import torch

from sightsmith_training.engine.detection.detecting import detect, network_finder, onnx_finder
from sightsmith_training.engine.detection.detector import Detector
from sightsmith_training.engine.detection.detector_export import export_detector, trace_detector
from sightsmith_training.engine.detection.losses import DetectionLoss, Truth
from sightsmith_training.engine.detection.network import BINS, NanoDet
from sightsmith_training.engine.detection.points import points_of
from sightsmith_training.engine.detection.scenes import Scenes, Variety
from sightsmith_training.engine.detection.score_line import ScoreLine
from sightsmith_training.engine.detection.tuning import Recipe, Tuner, _ahead
from sightsmith_training.engine.distribution.places import Place

from .shapes import draw_shapes

_SIDE = 64
_PROCESSOR = Place(torch.device("cpu"))
_RECIPE = Recipe(steps=4, side=_SIDE, part=32, whole=0.5)


def _tuner(recipe=_RECIPE, images=8, threads=2, place=_PROCESSOR):
    torch.manual_seed(0)
    scenes = Scenes(*draw_shapes(images, _SIDE), Variety(), seed=0)
    return Tuner(NanoDet(2), scenes, recipe, threads, place)


def _equal(one, other):
    others = other.state_dict()
    return all(torch.equal(weights, others[name]) for name, weights in one.state_dict().items())


@pytest.fixture(scope="module")
def trained():
    tuner = _tuner(Recipe(steps=60, side=_SIDE, part=_SIDE, memory=0.1, rate=1e-3), images=16)
    for _ in range(6):
        tuner.train(10)
    return tuner


def test_the_loss_falls(trained):
    assert list(trained.losses) == [10, 20, 30, 40, 50, 60]
    assert trained.losses[60] < 0.8 * trained.losses[10]


def test_time_is_spent_in_the_network(trained):
    assert 0.5 * trained.clock.total < trained.clock.network <= trained.clock.total


def test_resuming_equals_training_on(tmp_path):
    whole = _tuner()
    whole.train(3)
    whole.train(1)
    stopped = _tuner()
    stopped.draws[:4] = 2
    whole_with_draws = _tuner()
    whole_with_draws.draws[:4] = 2
    whole_with_draws.train(4)
    stopped.train(3)
    stopped.save(tmp_path / "checkpoint.pt")
    resumed = _tuner()
    resumed.load(tmp_path / "checkpoint.pt")
    resumed.train(9)
    assert resumed.steps_done == 4
    assert _equal(whole_with_draws.averaged, resumed.averaged)
    assert not _equal(whole.averaged, resumed.averaged)
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_beyond_its_end_there_is_nothing_to_train():
    tuner = _tuner()
    tuner.train(4)
    with pytest.raises(ValueError, match="no steps left"):
        tuner.train(1)


def test_frozen_stages_stay_as_they_are():
    tuner = _tuner(Recipe(steps=1, side=_SIDE, part=_SIDE, frozen=2))
    before = {name: weights.clone() for name, weights in tuner.averaged.state_dict().items()}
    tuner.train(1)
    changed = {name for name, weights in tuner.averaged.state_dict().items() if not torch.equal(weights, before[name])}
    assert not any(name.startswith(("stem", "stages.0", "stages.1")) for name in changed)
    assert any(name.startswith("stages.2") for name in changed)


def test_exports_find_what_the_network_finds(trained, tmp_path):
    detector = Detector(trained.averaged, _SIDE, ScoreLine(1.6, 0.7))
    squares, _ = draw_shapes(5, _SIDE, seed=7)
    model = export_detector(detector, ["blue", "red"])
    (tmp_path / "model.pt").write_bytes(trace_detector(detector, ["blue", "red"]))
    traced = torch.jit.load(tmp_path / "model.pt")
    for count in (1, 5):
        wanted = network_finder(detector)(squares[:count])
        from_onnx = onnx_finder(model, 1)(squares[:count])
        with torch.inference_mode():
            from_torchscript = [output.numpy() for output in traced(torch.from_numpy(squares[:count]))]
        for answers in (from_onnx, from_torchscript):
            assert [output.shape for output in answers] == [(count, 100, 4), (count, 100), (count, 100)]
            assert [output.dtype for output in answers] == [np.float32, np.float32, np.int32]
            assert np.abs(answers[1] - wanted[1]).max() < 1e-4
            sure = wanted[1][:, :3] > 0
            assert np.abs(answers[0] - wanted[0])[:, :3][sure].max() < 1e-4


def test_calibrated_scores_lie_on_the_line_and_change_no_box(trained):
    squares, _ = draw_shapes(3, _SIDE, seed=7)
    line = ScoreLine(1.6, 0.7)
    boxes, scores, labels = network_finder(Detector(trained.averaged, _SIDE))(squares)
    calibrated = network_finder(Detector(trained.averaged, _SIDE, line))(squares)
    told = scores > 0
    assert np.array_equal(calibrated[0][told], boxes[told])
    assert np.array_equal(calibrated[2][told], labels[told])
    assert np.abs(calibrated[1] - line.scores(scores.astype(np.float64))).max() < 1e-5


def test_detections_are_in_pixels_of_the_image(trained):
    find = network_finder(Detector(trained.averaged, _SIDE))
    squares, _ = draw_shapes(3, _SIDE, seed=8)
    small = detect(find, squares, [(1, 1)] * 3)
    large = detect(find, squares, [(640, 480)] * 3)
    assert sum(len(found.boxes) for found in large) > 0
    for one, other in zip(small, large, strict=True):
        assert np.allclose(one.boxes * [640, 480, 640, 480], other.boxes)
        assert (np.diff(other.confidences) <= 0).all()


def test_a_graph_with_few_points_still_gives_all_places():
    boxes, scores, labels = network_finder(Detector(NanoDet(1), 32))(np.zeros((2, 32, 32, 3), np.uint8))
    assert (boxes.shape, scores.shape, labels.shape) == ((2, 100, 4), (2, 100), (2, 100))
    assert (scores[:, 21:] == 0).all()


def test_the_number_of_threads_changes_nothing():
    one, two = _tuner(threads=1), _tuner(threads=2)
    for tuner in (one, two):
        tuner.train(1)
    assert _equal(one.averaged, two.averaged)


def test_in_half_precision_nearly_the_same_is_learned():
    """As on a GPU: a step's pictures at once, layers in bfloat16, losses and weights in float32."""
    exact, half = _tuner(), _tuner(place=Place(torch.device("cpu"), torch.bfloat16))
    start = NanoDet(2).state_dict().keys()
    for tuner in (exact, half):
        tuner.train(4)
    assert half.losses[4] != exact.losses[4]
    assert half.losses[4] == pytest.approx(exact.losses[4], rel=0.02)
    assert half.averaged.state_dict().keys() == start
    assert {weights.dtype for weights in half.averaged.parameters()} == {torch.float32}


def test_very_large_images_are_learned_from_in_parts():
    tuner = _tuner(Recipe(steps=2, side=96, part=32, whole=0.5, largest=64, batch=2))
    batches = [make() for make in tuner._batches(until=2)]
    assert [(side, tuple(batch.pixels.shape)) for side, batch in batches] == [
        (32, (2, 32, 32, 3)),
        (64, (2, 64, 64, 3)),
    ]


def test_pictures_come_in_their_order_from_any_number_of_makers():
    for makers in (1, 3, 9):
        makes = (partial(lambda number: (number, None), number) for number in range(7))
        assert [number for number, _ in _ahead(makes, makers)] == list(range(7))


def test_the_loss_is_computed_where_the_answers_are(monkeypatch):
    """As on a GPU; the device that has shapes only refuses numbers that are left on the processor."""
    # How many boxes touch each other depends on numbers, which this device does not have.
    monkeypatch.setattr("torch.fx.experimental._config.meta_nonzero_assume_all_nonzero", True)
    loss = DetectionLoss(_SIDE, 2)
    _, labellings = draw_shapes(2, _SIDE)
    truths = [
        Truth(torch.from_numpy(each.boxes * _SIDE), torch.from_numpy(each.labels.astype(np.int64)), torch.empty(0, 4))
        for each in labellings
    ]
    assigned = loss.assign(truths)
    answers = torch.empty(*assigned.shape, 2 + 4 * BINS, device="meta")
    assert loss(answers, truths, assigned, 1.0).device.type == "meta"
    assert Detector(NanoDet(2), _SIDE).to("meta").bins.device.type == "meta"


def test_ignored_places_teach_nothing():
    loss = DetectionLoss(_SIDE, 1)
    box, nothing = torch.tensor([[0.0, 0.0, 30.0, 30.0]]), torch.empty(0, dtype=torch.int64)
    background, ignored = (Truth(torch.empty(0, 4), nothing, places) for places in (box[:0], box))
    answers = torch.zeros(1, len(points_of(_SIDE)), 1 + 4 * BINS, requires_grad=True)
    losses = []
    for truth in (background, ignored):
        losses.append(loss(answers, [truth], loss.assign([truth]), 1.0))
    losses[1].backward()
    taught = answers.grad[0, :, 0] != 0
    assert taught.sum() < len(taught)
    assert losses[1].item() / losses[0].item() == pytest.approx(float(taught.float().mean()))
