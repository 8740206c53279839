"""How a pretrained backbone is loaded."""

from pathlib import Path
from typing import Any

import timm
import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import pad_same_arg
from timm.models import load_state_dict
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that torch's own documentation uses

from sightsmith_training.engine.catalogue import Backbone, PythonPackage
from sightsmith_training.engine.efficientnet_lite import as_timm_names
from sightsmith_training.weights.errors import WeightsError
from sightsmith_training.weights.files import weights_files
from sightsmith_training.weights.settings import WeightsSettings
from sightsmith_training.weights.store import WeightsStore


def load_backbone(backbone: Backbone, store: WeightsStore | None = None) -> nn.Module:
    """Builds a backbone without its classifier, in evaluation mode, for inputs of its side.

    Args:
        backbone: of the catalogue, or one beside it whose weights have been fetched.
        store: holds fetched weights; by default the folder that the settings name.

    Returns:
        A module from float32 [batch, 3, side, side], scaled to -1…1, to float32 [batch, features].

    Raises:
        WeightsError: if the weights are missing, are not the ones in the catalogue, or do not fit the network.
    """
    (file,) = weights_files(backbone, store or WeightsStore(WeightsSettings().weights_dir))
    return build_backbone(backbone, file)


def build_backbone(backbone: Backbone, file: Path) -> nn.Module:
    """Builds a backbone with the weights in a file; everything else as `load_backbone`.

    Nothing in the file is run: it is read as safetensors, or by torch's reader that makes tensors only.

    Raises:
        WeightsError: if the file cannot be read or does not fit the network.
    """
    try:
        network = _efficientnet_lite(backbone, file) if _is_published_lite(backbone) else _timm_network(backbone, file)
    except Exception as error:  # What a file that fits badly makes timm, torch and safetensors raise is not documented.
        raise WeightsError(f"{file.name} does not fit the network {backbone.architecture}: {error}") from error
    network.eval().requires_grad_(False)
    prepared = network if _takes_planes_as_they_are(backbone) else _Prepared(network, backbone)
    return _with_fixed_padding(prepared, backbone.side)


def _is_published_lite(backbone: Backbone) -> bool:
    return isinstance(backbone.source, PythonPackage)


def _efficientnet_lite(backbone: Backbone, file: Path) -> nn.Module:
    weights = torch.load(file, map_location="cpu", weights_only=True)
    network: nn.Module = timm.create_model(backbone.architecture, pretrained=False)
    network.load_state_dict(as_timm_names(weights, network), strict=True)
    network.reset_classifier(0)  # type: ignore[operator]
    return network


def _timm_network(backbone: Backbone, file: Path) -> nn.Module:
    """Builds a network by timm's own loader, which knows the older names of layers, from nothing but this file."""
    own_side = backbone.fixed_side in (None, backbone.input_side)
    other_side: dict[str, Any] = {} if own_side else {"img_size": backbone.fixed_side}

    def build(labels: int) -> nn.Module:
        overlay = {"file": str(file), "custom_load": False, "num_classes": labels}
        network: nn.Module = timm.create_model(
            backbone.architecture, pretrained=True, pretrained_cfg_overlay=overlay, num_classes=labels, **other_side
        )
        return network

    # The classifier is built, and only then taken off: of one that is not built, timm takes whatever file it is given
    # and leaves what is missing in it to chance.
    first, *others = _possible_labels(file, backbone.architecture)
    try:
        network = build(first)
    except RuntimeError:
        if not others:
            raise
        network = build(*others)
    network.reset_classifier(0)  # type: ignore[operator]
    return network


def _possible_labels(file: Path, architecture: str) -> tuple[int, ...]:
    """How many labels the classifier in a file may tell apart.

    Those of the classifier with timm's name for it; without one, the usual number, in a file with names of its own, or
    none, in a file that has no classifier.
    """
    config = timm.get_pretrained_cfg(architecture)
    assert config is not None  # noqa: S101 - the network is known
    weights = load_state_dict(str(file)).get(f"{config.classifier}.weight")
    if weights is None:
        return config.num_classes, 0
    # Some old weights have a label for the background before all others, which timm takes off.
    return (config.num_classes if config.label_offset else len(weights),)


def _takes_planes_as_they_are(backbone: Backbone) -> bool:
    half = (0.5, 0.5, 0.5)
    return (backbone.mean, backbone.std) == (half, half) and backbone.fixed_side in (None, backbone.side)


class _Prepared(nn.Module):
    """A network behind what turns planes of -1…1 into what it was trained on."""

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, backbone: Backbone) -> None:
        super().__init__()
        self.network = network
        self.own_side = backbone.fixed_side if backbone.fixed_side != backbone.side else None
        mean, std = (torch.tensor(numbers).view(1, 3, 1, 1) for numbers in (backbone.mean, backbone.std))
        # A plane p of -1…1 is p / 2 + 1 / 2 in 0…1, from which the mean is taken off.
        self.register_buffer("scale", 0.5 / std)
        self.register_buffer("shift", (0.5 - mean) / std)

    def forward(self, planes: Tensor) -> Tensor:
        normal = planes * self.scale + self.shift
        if self.own_side is not None:
            normal = F.interpolate(normal, size=(self.own_side, self.own_side), mode="bilinear", align_corners=False)
        features: Tensor = self.network(normal)
        return features


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


def _with_fixed_padding(network: nn.Module, side: int) -> nn.Module:
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
        network(torch.zeros(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    for name, convolution in convolutions.items():
        network.set_submodule(name, _PaddedConvolution(convolution, sizes[name]))
    return network
