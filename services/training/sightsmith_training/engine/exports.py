"""From torch to the two file formats that Triton serves. The only place that traces.

Both formats are made by tracing, which torch has deprecated. It stays for two reasons: Triton's PyTorch backend reads
TorchScript only, and the newer ONNX exporter takes 13 to 19 seconds a backbone on two cores where tracing takes one and
gives an equal graph. torch is pinned, every exported graph is checked against the network it came from, and a backbone
is exported once for all jobs.
"""

import hashlib
import io
import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxscript.optimizer
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from sightsmith_training.engine.catalogue import IMAGE_SIDE
from sightsmith_training.engine.classification.heads import Head
from sightsmith_training.engine.classification.truth import Activation
from sightsmith_training.engine.contract import (
    EXPORT_PATHS,
    INPUT_NAME,
    OUTPUT_NAME,
    VARIANT_PATHS,
    ExportedFile,
    ExportFormat,
)
from sightsmith_training.engine.heads import EVEN_OUT_OFFSET, EVENED_ZERO

_OPSET = 17  # Old enough for the ONNX Runtime of any Triton in use, and it has all that is needed here.
_BATCH = "batch"
_EVEN_OUT_NUMBERS = {"offset": EVEN_OUT_OFFSET, "twice_evened_zero": 2 * EVENED_ZERO, "zero": 0.0}


def export_backbone(network: nn.Module, side: int = IMAGE_SIDE) -> bytes:
    """Exports a frozen backbone as an ONNX model with the same input as a classifier and features as its output.

    Args:
        network: from uint8 pixels [batch, side, side, 3] to float32 features, in evaluation mode.
        side: of the pixels.

    Returns:
        The serialised model. Its batch is dynamic, batch normalisation is folded into the convolutions.
    """
    with TemporaryDirectory() as folder, quiet_tracing():
        file = Path(folder, "backbone.onnx")
        torch.onnx.export(
            network,
            (_example(side),),
            file,
            dynamo=False,
            opset_version=_OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_axes={INPUT_NAME: {0: _BATCH}, OUTPUT_NAME: {0: _BATCH}},
        )
        model: onnx.ModelProto = onnxscript.optimizer.optimize(onnx.load(file))
        onnx.checker.check_model(model, full_check=True)
        data: bytes = model.SerializeToString(deterministic=True)
        return data


def compose_classifier(
    backbones: Sequence[tuple[str, bytes]], head: Head, labels: Sequence[str], side: int = IMAGE_SIDE
) -> bytes:
    """Joins exported backbones and a head into one ONNX model.

    Args:
        backbones: name and serialised model of each, in the order of the head's features.
        head: the trained linear layer.
        labels: names in the order of the output; kept in the model's metadata as JSON.
        side: of the pixels that all of the backbones take.

    Returns:
        The serialised model. The same arguments give the same bytes.
    """
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    features: list[str] = []
    for name, backbone in backbones:
        graph = _with_own_names(onnx.load_from_string(backbone).graph, name)
        nodes += graph.node
        weights += graph.initializer
        features.append(graph.output[0].name)
    nodes += [
        helper.make_node("Concat", features, ["features"], name="join", axis=1),
        *_even_out_nodes(),
        helper.make_node("Gemm", ["evened", "head.weight", "head.bias"], ["logits"], name="head", transB=1),
        _activation_node(head.activation),
    ]
    weights += [
        *(numpy_helper.from_array(np.asarray(number, np.float32), name) for name, number in _EVEN_OUT_NUMBERS.items()),
        numpy_helper.from_array(head.weights.astype(np.float32), "head.weight"),
        numpy_helper.from_array(head.bias.astype(np.float32), "head.bias"),
    ]
    pixels = helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, [_BATCH, side, side, 3])
    scores = helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, [_BATCH, len(labels)])
    model = helper.make_model(
        helper.make_graph(nodes, "classifier", [pixels], [scores], weights),
        producer_name="sightsmith",
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=onnx.load_from_string(backbones[0][1]).ir_version,
    )
    helper.set_model_props(model, {"labels": json.dumps(list(labels)), "image_side": str(side)})
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _even_out_nodes() -> list[onnx.NodeProto]:
    """From `features` to `evened`, see `heads.even_out`."""
    return [
        helper.make_node("Abs", ["features"], ["sizes"], name="take_sizes"),
        helper.make_node("Add", ["sizes", "offset"], ["lifted"], name="lift"),
        helper.make_node("Sqrt", ["lifted"], ["roots"], name="take_roots"),
        helper.make_node("Sub", ["twice_evened_zero", "roots"], ["mirrored"], name="mirror"),
        helper.make_node("Less", ["features", "zero"], ["are_negative"], name="find_negative"),
        helper.make_node("Where", ["are_negative", "mirrored", "roots"], ["evened"], name="even_out"),
    ]


def _activation_node(activation: Activation) -> onnx.NodeProto:
    if activation == "softmax":
        return helper.make_node("Softmax", ["logits"], [OUTPUT_NAME], name="probabilities", axis=1)
    return helper.make_node("Sigmoid", ["logits"], [OUTPUT_NAME], name="probabilities")


def trace_classifier(network: nn.Module, labels: Sequence[str], side: int = IMAGE_SIDE) -> bytes:
    """Traces the trained network for pixels of a side to TorchScript; the labels travel in it as `labels.json`."""
    buffer = io.BytesIO()
    with quiet_tracing(), torch.inference_mode():
        traced = torch.jit.trace(network, _example(side), check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, buffer, _extra_files={"labels.json": json.dumps(list(labels))})
    return buffer.getvalue()


def load_traced(file: Path) -> nn.Module:
    """Loads a TorchScript file as a server does."""
    with quiet_tracing():
        module: nn.Module = torch.jit.load(str(file), map_location="cpu")  # type: ignore[no-untyped-call]
    return module


def write_export(output_dir: Path, export_format: ExportFormat, data: bytes) -> ExportedFile:
    """Writes an exported model to its place in the output folder."""
    path = (EXPORT_PATHS | VARIANT_PATHS)[export_format]
    file = output_dir / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return ExportedFile(path=path, format=export_format, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))


def _example(side: int) -> torch.Tensor:
    # Two images: of one, a tracer may take the batch for a constant.
    return torch.zeros(2, side, side, 3, dtype=torch.uint8)


def _with_own_names(graph: onnx.GraphProto, name: str) -> onnx.GraphProto:
    """Puts a prefix before every name but the input's, which all backbones share."""
    renamed: onnx.GraphProto = onnx.compose.add_prefix_graph(graph, f"{name}/", rename_inputs=False)
    return renamed


@contextmanager
def quiet_tracing() -> Iterator[None]:
    """Silences the warnings that tracing is deprecated: known, and explained at the top of this file."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are using the legacy TorchScript-based ONNX", DeprecationWarning)
        warnings.filterwarnings("ignore", r"`torch\.jit\..*` is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", r"`torch\.jit\..*` is deprecated", DeprecationWarning)
        # The swap of colour planes, a constant of three numbers, is left as it is.
        warnings.filterwarnings("ignore", "Constant folding - Only steps=1", UserWarning)
        yield
