"""What a variant is, and what it may lose."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from sightsmith_training.engine.contract import VariantFormat
from sightsmith_training.engine.variants.running import Answers


@dataclass(frozen=True)
class VariantSettings:
    """What a variant may lose and what it may cost.

    Attributes:
        max_variant_loss: how much lower its figure may be, 0 to 1.
        min_agreement: share of the images on which it must decide as the full model does, 0 to 1; one image may differ
            however few there are.
        calibration_images: how many images the ranges of int8 are taken from. A hundred gave no better model than 32.
        seconds: after which no further recipe is begun; the first one is always tried.
        threads: cores to use.
    """

    max_variant_loss: float = 0.01
    min_agreement: float = 0.99
    calibration_images: int = 32
    seconds: float = 60.0
    threads: int = 1


@dataclass(frozen=True)
class Judge:
    """How answers about the judged images become numbers.

    Attributes:
        figure: from the answers to how good they are, 0 to 1: macro-F1, or mean average precision.
        decisions: from the answers to what is decided of each image, shape [images] or [images, labels]; None where
            there is nothing to compare image by image, as with boxes.
    """

    figure: Callable[[Answers], float]
    decisions: Callable[[Answers], npt.NDArray[Any]] | None = None


@dataclass(frozen=True)
class Variant:
    """The model with fewer bits, beside the full one.

    Attributes:
        format: of its numbers.
        data: the serialised ONNX model; empty if it could not be made.
        recipe: how it was made, in plain words.
        figure_before: of the full model.
        figure_after: of the variant; 0 if it could not be made or its answers are not numbers.
        agreement: share of the images decided alike; None where that is not compared.
        mean_difference: of the scores; None if it could not be made or its answers are not numbers.
        largest_difference: likewise.
        milliseconds_before: for an image, on one core of this machine, by the full model.
        milliseconds_after: the same by the variant, measured in turns with the full model.
        kept: whether it loses little enough.
        reason: why it is kept or not, in plain words.
    """

    format: VariantFormat
    data: bytes
    recipe: str
    figure_before: float
    figure_after: float
    agreement: float | None
    mean_difference: float | None
    largest_difference: float | None
    milliseconds_before: float
    milliseconds_after: float
    kept: bool
    reason: str


def why_not_made(error: Exception) -> str:
    """The reason of a variant that an error prevented; running out of memory has no words of its own."""
    return f"it cannot be made: {str(error) or type(error).__name__}"
