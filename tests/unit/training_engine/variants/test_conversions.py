"""Fewer bits: the same inputs and outputs, nearly the same answers, the same on every machine."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from sightsmith_training.engine.contract import INPUT_NAME
from sightsmith_training.engine.variants.eight_bits import RECIPES, Quantiser
from sightsmith_training.engine.variants.graph_parts import GraphParts
from sightsmith_training.engine.variants.half_precision import rounded_to_half_precision, to_half_precision
from sightsmith_training.engine.variants.running import open_model, run_all

from . import graphs


@pytest.fixture(scope="module")
def quantised(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The classifier by each recipe."""
    folder = tmp_path_factory.mktemp("quantised")
    quantiser = Quantiser(GraphParts.of(graphs.classifier()), graphs.pictures(4, seed=2)[0], folder)
    return [quantiser.quantise(recipe) for recipe in RECIPES]


def signature(model: bytes) -> list[tuple[str, int, list[str]]]:
    graph = onnx.load_from_string(model).graph
    return [
        (value.name, value.type.tensor_type.elem_type, [str(each) for each in value.type.tensor_type.shape.dim])
        for value in (*graph.input, *graph.output)
    ]


def layers_in_float(model: bytes) -> int:
    """How many convolutions read weights that are not made from integers."""
    graph = onnx.load_from_string(model).graph
    makers = {name: node.op_type for node in graph.node for name in node.output}
    return sum(node.op_type == "Conv" and makers.get(node.input[1]) is None for node in graph.node)


def largest_weights(model: bytes) -> dict[bool, int]:
    """The largest integer among the weights of depthwise (true) and other layers."""
    largest = {True: 0, False: 0}
    for tensor in onnx.load_from_string(model).graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 4:
            is_depthwise = tensor.dims[1] == 1
            found = int(np.abs(numpy_helper.to_array(tensor).astype(int)).max())
            largest[is_depthwise] = max(largest[is_depthwise], found)
    return largest


def test_variants_take_and_give_what_the_model_does(quantised: list[bytes]) -> None:
    half = to_half_precision(GraphParts.of(graphs.classifier()))
    for variant in (half, *quantised):
        assert signature(variant) == signature(graphs.classifier())


def test_half_precision_is_near_and_half_the_size() -> None:
    for model, side in ((graphs.classifier(), 240), (graphs.detector(), graphs.DETECTOR_SIDE)):
        half = to_half_precision(GraphParts.of(model))
        pixels = np.random.default_rng(5).integers(0, 256, (6, side, side, 3), dtype=np.uint8)
        position = 0 if model == graphs.classifier() else 1
        before, after = (run_all(open_model(each), pixels, 1)[position] for each in (model, half))
        np.testing.assert_allclose(after, before, atol=0.01)
    assert len(half) < 0.6 * len(model)


def test_the_rounded_graph_rounds_what_the_cpu_does_not() -> None:
    """Values beyond 65504 are infinite in half precision; the graph in float16 hides that on a CPU."""
    model = graphs.with_weights(graphs.detector(), lambda weights: weights * 60)
    parts = GraphParts.of(model)
    side = graphs.DETECTOR_SIDE
    pixels = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), np.uint8)
    hidden, shown = (
        run_all(open_model(convert(parts)), pixels, 1)[1] for convert in (to_half_precision, rounded_to_half_precision)
    )
    assert np.isfinite(hidden).all()
    assert not np.isfinite(shown).all()


def test_conversions_give_the_same_bytes_again(tmp_path: Path, quantised: list[bytes]) -> None:
    parts = GraphParts.of(graphs.classifier())
    assert to_half_precision(parts) == to_half_precision(GraphParts.of(graphs.classifier()))
    assert Quantiser(parts, graphs.pictures(4, seed=2)[0], tmp_path).quantise(RECIPES[0]) == quantised[0]


def test_recipes_keep_more_and_more_layers(quantised: list[bytes]) -> None:
    assert [layers_in_float(model) for model in quantised] == [0, 1, 2]


def test_only_depthwise_layers_have_all_bits(quantised: list[bytes]) -> None:
    largest = largest_weights(quantised[0])
    assert largest[True] == 127
    assert 0 < largest[False] <= 64


def test_integers_do_not_overflow(quantised: list[bytes]) -> None:
    """The CPU's integer kernels say what the same graph says in floating point, where nothing can overflow."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    pixels = graphs.pictures(2, seed=4)[0]
    for model in quantised:
        exact = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        np.testing.assert_allclose(
            open_model(model)(pixels)[0], exact.run(None, {INPUT_NAME: pixels})[0], rtol=0, atol=0.03
        )
