"""Reads convolutions from a TensorFlow.js graph model: JSON that names binary files of half-precision numbers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]


class WeightsFileError(ValueError):
    """A file that is not the graph model that it should be."""


@dataclass(frozen=True)
class Convolution:
    """One convolution with batch normalisation folded into it.

    Attributes:
        weights: float32, shape [outputs, inputs, height, width].
        bias: float32, shape [outputs].
    """

    weights: Numbers
    bias: Numbers


def read_convolutions(json_file: Path) -> list[Convolution]:
    """Reads all convolutions of a graph in the order in which the network was defined.

    Args:
        json_file: the graph (`model.json` of the TensorFlow.js converter); its binary files lie beside it.

    Raises:
        WeightsFileError: if a binary file has another size than the graph says, or a number type is unknown.
    """
    model = json.loads(json_file.read_bytes())
    tensors = _read_tensors(model["weightsManifest"], json_file.parent)
    nodes = model["modelTopology"]["node"]
    bias = {
        node["input"][0]: tensors[node["input"][1]]
        for node in nodes
        if node["op"] == "Add" and node["input"][1] in tensors
    }
    convolutions = [node for node in nodes if node["op"] == "Conv2D"]
    convolutions.sort(key=lambda node: _position(node["name"]))
    return [
        Convolution(tensors[node["input"][1]].transpose(3, 2, 0, 1).copy(), bias[node["name"]].reshape(-1).copy())
        for node in convolutions
    ]


def _position(name: str) -> int:
    """The converter numbers the nodes of one kind in their order: `…/convolution`, `…/convolution_1`, …"""
    _, _, number = name.rsplit("/", 1)[-1].rpartition("_")
    return int(number) if number.isdigit() else 0


def _read_tensors(manifest: list[Mapping[str, Any]], folder: Path) -> dict[str, Numbers]:
    tensors = {}
    for group in manifest:
        data = b"".join((folder / path).read_bytes() for path in group["paths"])
        start = 0
        for entry in group["weights"]:
            stored = _stored_type(entry)
            stop = start + stored.itemsize * int(np.prod(entry["shape"]))
            if stop > len(data):
                raise WeightsFileError(f"the weights end before {entry['name']!r}")
            numbers = np.frombuffer(data[start:stop], stored).reshape(entry["shape"])
            tensors[entry["name"]] = numbers.astype(np.float32) if stored.kind == "f" else numbers
            start = stop
        if start != len(data):
            raise WeightsFileError(f"{len(data) - start} bytes follow the last of the weights")
    return tensors


def _stored_type(entry: Mapping[str, Any]) -> np.dtype[Any]:
    name = entry.get("quantization", entry)["dtype"]
    if name not in {"float16", "float32", "int32", "bool"}:
        raise WeightsFileError(f"{entry['name']!r} holds numbers of the unknown type {name!r}")
    stored: np.dtype[Any] = np.dtype(name).newbyteorder("<")
    return stored
