"""Small pictures with one bright patch of colour, and a small network to look at them."""

import numpy as np
import torch
from torch import nn

from sightsmith_training.engine.classification.fine_tuning import Examples
from sightsmith_training.engine.classification.heads import Head

SIDE = 16


def patches(images: int, labels: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise with a patch in the colour of the label: pixels and truth, one label an image."""
    random = np.random.default_rng(seed)
    positions = np.arange(images) % labels
    pixels = random.integers(60, 120, (images, SIDE, SIDE, 3), dtype=np.uint8)
    for image, label in zip(pixels, positions, strict=True):
        top, left = random.integers(2, SIDE - 8, 2)
        image[top : top + 6, left : left + 6, label] = 250
    return pixels, np.eye(labels, dtype=bool)[positions]


def examples(images: int = 36) -> Examples:
    pixels, truth = patches(images)
    return Examples(pixels, truth, np.arange(0, images - 12), np.arange(images - 12, images))


def small_backbone() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ).eval()


def blank_head(labels: int = 3, activation: str = "softmax") -> Head:
    return Head(np.zeros((labels, 16)), np.zeros(labels), activation)
