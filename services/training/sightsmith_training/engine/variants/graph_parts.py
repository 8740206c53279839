"""The two parts of an exported graph: the body, where nearly all of the work is, and the rest after it.

Fewer bits are for the body alone. Behind its last layer with weights come means over places, a small linear layer,
softmax, or the decoding and suppression of boxes: little work, and sums, roots and comparisons that suffer from few
bits. A graph is therefore cut there, the body is converted by itself, and the rest stays as it was, to the bit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import onnxruntime
from onnx import TensorProto
from onnx.utils import Extractor
from onnxruntime.transformers.onnx_model import OnnxModel

from sightsmith_training.engine.contract import INPUT_NAME

# Bounded or rectified answers of a layer belong to it: runtimes compute both at once, and the bounds are what makes
# eight bits enough.
_ACTIVATIONS = frozenset({"Clip", "Relu", "LeakyRelu", "HardSwish", "HardSigmoid"})


class NothingToConvertError(ValueError):
    """The graph has no layer that fewer bits would make cheaper."""


@dataclass(frozen=True)
class GraphParts:
    """An exported graph that is cut in two.

    Attributes:
        body: a model of its own, from pixels to what the rest reads.
        rest: the nodes behind it, in their order.
        whole: the graph they come from, constants folded.
    """

    body: onnx.ModelProto
    rest: tuple[onnx.NodeProto, ...]
    whole: onnx.ModelProto

    @classmethod
    def of(cls, model: bytes) -> "GraphParts":
        """Cuts a serialised model.

        Raises:
            NothingToConvertError: if there is nothing before the cut.
        """
        whole = _folded(model)
        inside = _body_nodes(whole)
        if not inside:
            raise NothingToConvertError("no convolution or matrix product with weights")
        nodes = whole.graph.node
        rest = tuple(node for position, node in enumerate(nodes) if position not in inside)
        made_inside = [name for position in sorted(inside) for name in nodes[position].output]
        read_later = _read_by(rest) | {output.name for output in whole.graph.output}
        seams = [name for name in made_inside if name in read_later]
        return cls(Extractor(whole).extract_model([INPUT_NAME], seams), rest, whole)

    def with_body(self, body: onnx.ModelProto) -> bytes:
        """The whole model with another body of the same inputs and outputs.

        Returns:
            The serialised model, checked. The same arguments give the same bytes.
        """
        joined = onnx.ModelProto()
        joined.CopyFrom(body)
        graph = joined.graph
        _rename(graph, {tensor.name for tensor in self.whole.graph.initializer})
        graph.name = self.whole.graph.name
        graph.node.extend(self.rest)
        needed = _read_by(self.rest)
        graph.initializer.extend(tensor for tensor in self.whole.graph.initializer if tensor.name in needed)
        del graph.output[:], graph.value_info[:], joined.metadata_props[:]
        graph.output.extend(self.whole.graph.output)
        joined.metadata_props.extend(self.whole.metadata_props)
        OnnxModel(joined).topological_sort(is_deterministic=True)
        onnx.checker.check_model(joined, full_check=True)
        data: bytes = joined.SerializeToString(deterministic=True)
        return data


def _folded(model: bytes) -> onnx.ModelProto:
    """Folds constants, and paddings into convolutions; notes every shape, which the converters read."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "folded.onnx")
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(file)
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        folded: onnx.ModelProto = onnx.shape_inference.infer_shapes(onnx.load(file))
    del folded.metadata_props[:]
    folded.metadata_props.extend(onnx.load_from_string(model).metadata_props)
    return folded


def _body_nodes(model: onnx.ModelProto) -> set[int]:
    """Positions of the layers with weights, of what they need, and of the activations right behind them."""
    nodes = model.graph.node
    weights = {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT}
    makers = {name: position for position, node in enumerate(nodes) for name in node.output}
    layers = {position for position, node in enumerate(nodes) if _is_layer(node, weights)}
    inside: set[int] = set()
    waiting = list(layers)
    while waiting:
        position = waiting.pop()
        if position not in inside:
            inside.add(position)
            waiting += [makers[name] for name in _read_by([nodes[position]]) if name in makers]
    activations = {
        position
        for position, node in enumerate(nodes)
        if node.op_type in _ACTIVATIONS and makers.get(node.input[0]) in layers
    }
    return inside | activations


def _is_layer(node: onnx.NodeProto, weights: set[str]) -> bool:
    """A matrix product of two computed values is not one: suppression has some."""
    return node.op_type in ("Conv", "ConvTranspose", "MatMul") and len(node.input) > 1 and node.input[1] in weights


def _read_by(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """Names of the values that nodes read, those that only the graphs inside them read included."""
    names: set[str] = set()
    for node in nodes:
        names.update(node.input)
        for attribute in node.attribute:
            graphs: Sequence[onnx.GraphProto] = [attribute.g, *attribute.graphs]
            names.update(*(_read_by(graph.node) for graph in graphs))
    return names


def _rename(graph: onnx.GraphProto, taken: set[str]) -> None:
    """Gives constants of a body new names: the rest may read one of the same name that was not converted."""
    own = {tensor.name: f"body/{tensor.name}" for tensor in graph.initializer if tensor.name in taken}
    for tensor in graph.initializer:
        tensor.name = own.get(tensor.name, tensor.name)
    for node in graph.node:
        node.input[:] = [own.get(name, name) for name in node.input]
