"""From a trained detector to the two file formats that Triton serves; exports.py says why both are traced."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import onnxscript.optimizer
import torch

from sightsmith_training.engine.contract import INPUT_NAME
from sightsmith_training.engine.detection.detector import Detector
from sightsmith_training.engine.exports import quiet_tracing

DETECTOR_OUTPUTS = ("OUTPUT__0", "OUTPUT__1", "OUTPUT__2")
"""Boxes, scores, labels: see `Detector.forward`."""

_OPSET = 17
_BATCH = "batch"


def export_detector(detector: Detector, labels: Sequence[str]) -> bytes:
    """Exports a detector as an ONNX model of a dynamic batch.

    Args:
        detector: with its final weights.
        labels: names in the order of the network; kept in the model's metadata as JSON.

    Returns:
        The serialised model.
    """
    with TemporaryDirectory() as folder, quiet_tracing(), torch.inference_mode():
        file = Path(folder, "detector.onnx")
        torch.onnx.export(
            detector,
            (_example(detector),),
            file,
            dynamo=False,
            opset_version=_OPSET,
            input_names=[INPUT_NAME],
            output_names=list(DETECTOR_OUTPUTS),
            dynamic_axes={name: {0: _BATCH} for name in (INPUT_NAME, *DETECTOR_OUTPUTS)},
        )
        model: onnx.ModelProto = onnxscript.optimizer.optimize(onnx.load(file))
    onnx.helper.set_model_props(model, {"labels": json.dumps(list(labels)), "image_side": str(detector.side)})
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def trace_detector(detector: Detector, labels: Sequence[str]) -> bytes:
    """Traces a detector to TorchScript; the labels travel in the archive as `labels.json`."""
    buffer = io.BytesIO()
    with quiet_tracing(), torch.inference_mode():
        traced = torch.jit.trace(detector, _example(detector), check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, buffer, _extra_files={"labels.json": json.dumps(list(labels))})
    return buffer.getvalue()


def _example(detector: Detector) -> torch.Tensor:
    # Two images: of one, a tracer may take the batch for a constant.
    return torch.zeros(2, detector.side, detector.side, 3, dtype=torch.uint8)
