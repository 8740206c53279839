"""The network that is fine-tuned: a backbone and the head over its evened-out features."""

import numpy as np
import torch
from torch import Tensor, nn

from sightsmith_training.engine.classification.heads import Head
from sightsmith_training.engine.classification.truth import Activation
from sightsmith_training.engine.network import even_out
from sightsmith_training.engine.samples import Pixels


def to_planes(pixels: Pixels) -> Tensor:
    """From uint8 [images, side, side, 3] to float32 [images, 3, side, side], -1 to 1, channels last in memory."""
    planes = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    return (planes / 127.5 - 1.0).contiguous(memory_format=torch.channels_last)


class TunedNetwork(nn.Module):
    """Maps planes to logits. It stays in evaluation mode even while it learns.

    So the statistics of batch normalisation stay those of the big set that the backbone comes from: a few small batches
    give worse ones.
    """

    def __init__(self, backbone: nn.Module, head: Head) -> None:
        """Takes a backbone, which it will change, and the head to start from."""
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(head.weights.shape[1], head.weights.shape[0])
        self.activation: Activation = head.activation
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(head.weights))
            self.head.bias.copy_(torch.from_numpy(head.bias))
        # Convolutions on a CPU are about twice as fast with the channels of a pixel side by side.
        self.to(memory_format=torch.channels_last)
        self.eval()

    def forward(self, planes: Tensor) -> Tensor:
        """Maps float32 [images, 3, side, side] to logits [images, labels]."""
        logits: Tensor = self.head(even_out(self.backbone(planes)))
        return logits

    def freeze(self, share: float) -> None:
        """Lets all parameters learn but the first ones of the backbone; `share` of them is 0 to 1."""
        body = list(self.backbone.parameters())
        frozen = round(share * len(body))
        self.requires_grad_(True)
        for parameter in body[:frozen]:
            parameter.requires_grad_(False)

    def as_head(self) -> Head:
        """The head as it is now."""
        weights, bias = (tensor.detach().numpy().astype(np.float64) for tensor in (self.head.weight, self.head.bias))
        return Head(weights, bias, self.activation)


def score_logits(network: nn.Module, pixels: Pixels) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Runs one batch; float32 [images, labels]."""
    with torch.inference_mode():
        logits: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = network(to_planes(pixels)).numpy()
        return logits
