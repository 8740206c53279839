"""The trained network in torch: pixels in, probabilities out."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sightsmith_training.engine.batches import Outputs
from sightsmith_training.engine.classification.heads import Head
from sightsmith_training.engine.heads import EVEN_OUT_OFFSET, EVENED_ZERO
from sightsmith_training.engine.samples import Pixels


class PixelBackbone(nn.Module):
    """A frozen backbone that takes pixels as they are decoded."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, pixels: Tensor) -> Tensor:
        """Maps uint8 [batch, side, side, 3] RGB to float32 features [batch, features]."""
        # Mean and standard deviation of 0.5 in the range 0…1, in one step: 0…255 becomes -1…1.
        planes = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1.0
        features: Tensor = self.backbone(planes)
        return features


def even_out(features: Tensor) -> Tensor:
    """The same as `heads.even_out`, for networks."""
    roots = torch.sqrt(features.abs() + float(EVEN_OUT_OFFSET))
    return torch.where(features < 0, float(2 * EVENED_ZERO) - roots, roots)


class Classifier(nn.Module):
    """Frozen backbones side by side and the trained head over them."""

    def __init__(self, backbones: Sequence[PixelBackbone], head: Head) -> None:
        super().__init__()
        self.backbones = nn.ModuleList(backbones)
        self.one_label = head.activation == "softmax"
        self.head = nn.Linear(head.weights.shape[1], head.weights.shape[0])
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(head.weights))
            self.head.bias.copy_(torch.from_numpy(head.bias))
        self.eval().requires_grad_(False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Maps uint8 [batch, side, side, 3] RGB to float32 probabilities [batch, labels]."""
        features = torch.cat([backbone(pixels) for backbone in self.backbones], dim=1)
        logits = self.head(even_out(features))
        return torch.softmax(logits, dim=1) if self.one_label else torch.sigmoid(logits)


def score_with_network(network: nn.Module, pixels: Pixels) -> Outputs:
    """Runs one batch through a network in torch, eager or traced."""
    with torch.inference_mode():
        scores: Outputs = network(torch.from_numpy(pixels)).numpy()
        return scores
