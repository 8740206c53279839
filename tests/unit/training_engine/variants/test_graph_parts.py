"""Graphs are cut where the heavy layers end, and put together again."""

import numpy as np
import onnx
import pytest

from sightsmith_training.engine.variants.graph_parts import GraphParts, NothingToConvertError
from sightsmith_training.engine.variants.running import open_model, run_all

from . import graphs


def detector_pictures() -> np.ndarray:
    side = graphs.DETECTOR_SIDE
    return np.random.default_rng(3).integers(0, 256, (6, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["classifier", "detector"])
def test_the_parts_together_are_the_graph(kind: str) -> None:
    model, pixels = {
        "classifier": (graphs.classifier(), graphs.pictures(2, seed=1)[0]),
        "detector": (graphs.detector(), detector_pictures()),
    }[kind]
    parts = GraphParts.of(model)
    again = parts.with_body(parts.body)
    before, after = run_all(open_model(model), pixels, 1), run_all(open_model(again), pixels, 1)
    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_all_convolutions_and_the_activation_behind_the_last_are_in_the_body() -> None:
    parts = GraphParts.of(graphs.classifier())
    assert parts.body.graph.node[-1].op_type == "Clip"
    assert {node.op_type for node in parts.rest}.isdisjoint({"Conv", "Clip"})
    assert {"Sqrt", "Gemm", "Softmax"} <= {node.op_type for node in parts.rest}


def test_decoding_and_suppression_are_not_in_the_body() -> None:
    parts = GraphParts.of(graphs.detector())
    assert {"TopK", "Loop", "Softmax", "Sigmoid"} <= {node.op_type for node in parts.rest}
    assert {"TopK", "Loop", "Softmax"}.isdisjoint(node.op_type for node in parts.body.graph.node)


def test_the_labels_travel_along() -> None:
    parts = GraphParts.of(graphs.classifier())
    again = onnx.load_from_string(parts.with_body(parts.body))
    before = onnx.load_from_string(graphs.classifier())
    assert list(again.metadata_props) == list(before.metadata_props)


def test_a_graph_without_heavy_layers_is_refused() -> None:
    with pytest.raises(NothingToConvertError, match="no convolution"):
        GraphParts.of(graphs.without_layers())
