"""Training learns, repeats itself, and goes on from a checkpoint as if it had not stopped."""

import numpy as np
import pytest
import torch

from sightsmith_training.engine.detection.detecting import detect, network_finder, onnx_finder
from sightsmith_training.engine.detection.detector import Detector
from sightsmith_training.engine.detection.detector_export import export_detector, trace_detector
from sightsmith_training.engine.detection.network import NanoDet
from sightsmith_training.engine.detection.scenes import Scenes, Variety
from sightsmith_training.engine.detection.tuning import Recipe, Tuner

from .shapes import draw_shapes

_SIDE = 64
_RECIPE = Recipe(rounds=2, side=_SIDE, batch=4)


def _tuner(recipe=_RECIPE, images=8, threads=2):
    torch.manual_seed(0)
    scenes = Scenes(*draw_shapes(images, _SIDE), Variety(), seed=0)
    return Tuner(NanoDet(2), scenes, recipe, threads)


def _ignore(share, figures):
    pass


def _equal(one, other):
    others = other.state_dict()
    return all(torch.equal(weights, others[name]) for name, weights in one.state_dict().items())


@pytest.fixture(scope="module")
def trained():
    tuner = _tuner(Recipe(rounds=20, side=_SIDE, batch=8, small=0, memory=0.9), images=16)
    told = []
    tuner.train_rounds(20, lambda share, figures: told.append((share, figures["loss"])))
    return tuner, told


def test_the_loss_falls(trained):
    _, told = trained
    losses = [loss for _, loss in told]
    assert [share for share, _ in told] == pytest.approx(np.arange(1, 21) / 20)
    assert np.mean(losses[-3:]) < 0.7 * np.mean(losses[:3])


def test_resuming_equals_training_on(tmp_path):
    whole = _tuner()
    whole.train_rounds(2, _ignore)
    stopped = _tuner()
    stopped.train_rounds(1, _ignore)
    stopped.save(tmp_path / "checkpoint.pt")
    resumed = _tuner()
    resumed.load(tmp_path / "checkpoint.pt")
    resumed.train_rounds(9, _ignore)
    assert resumed.rounds_done == 2
    assert _equal(whole.averaged, resumed.averaged)
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_exports_find_what_the_network_finds(trained, tmp_path):
    detector = Detector(trained[0].averaged, _SIDE)
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


def test_detections_are_in_pixels_of_the_image(trained):
    find = network_finder(Detector(trained[0].averaged, _SIDE))
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
        tuner.train_rounds(1, _ignore)
    assert _equal(one.averaged, two.averaged)
