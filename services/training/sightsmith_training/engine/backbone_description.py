"""The program `python -m sightsmith_training.engine.backbone_description MODEL FILE`.

Finds out what a network of timm's needs and gives, and whether it can be used here, and prints that as JSON. A program
of its own, so that whoever fetches weights need not load torch.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import timm
import torch

from sightsmith_training.engine.backbones import build_backbone
from sightsmith_training.engine.batches import Scorer
from sightsmith_training.engine.catalogue import IMAGE_SIDE, Backbone, LocalFile
from sightsmith_training.engine.embeddings import session_scorer
from sightsmith_training.engine.exports import export_backbone
from sightsmith_training.engine.network import PixelBackbone, score_with_network
from sightsmith_training.engine.samples import Pixels
from sightsmith_training.weights.errors import WeightsError
from sightsmith_training.weights.extra_backbones import BackboneDescription

_MAX_DIFFERENCE = 1e-3
"""Between the features of a network and those of its export, as a share of the largest feature."""

_TIMED_RUNS = 5
_UNKNOWN_LICENCE = "NOASSERTION"
_SPDX = {name.lower(): name for name in ("Apache-2.0", "MIT", "BSD-3-Clause", "CC-BY-4.0", "CC-BY-NC-4.0")}


def describe_backbone(model: str, file: Path) -> BackboneDescription:
    """Builds a network, exports it and tries the export.

    Args:
        model: name of the network in timm, and of its pretrained weights after a dot.
        file: the weights.

    Raises:
        WeightsError: if timm has no such network, the weights do not fit it, or its export differs from it.
    """
    if not timm.is_model(model.partition(".")[0]):
        raise WeightsError(f"timm has no network {model}")
    try:
        config = timm.get_pretrained_cfg(model, allow_unregistered=False)
    except RuntimeError as error:
        raise WeightsError(f"timm has no pretrained weights {model}: {error}") from error
    assert config is not None  # noqa: S101 - of what is registered there is one
    draft = Backbone(
        name=model,
        architecture=model,
        source=LocalFile(file),
        files=(),
        licence=_licence(config.license),
        input_side=config.input_size[-1],
        parameters=0,
        cost=0,
        features=0,
        mean=_of_planes(config.mean),
        std=_of_planes(config.std),
    )
    network, backbone = _build(draft, file, fixed=config.fixed_input_size)
    features, cost = _try_export(network)
    return BackboneDescription(
        architecture=model,
        licence=backbone.licence,
        input_side=backbone.input_side,
        fixed_side=backbone.fixed_side,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        cost=cost,
        features=features,
        mean=backbone.mean,
        std=backbone.std,
    )


def _build(draft: Backbone, file: Path, *, fixed: bool) -> tuple[PixelBackbone, Backbone]:
    """Builds a network, of several possible input sides for the one nearest to the images'."""
    sides = [_whole_patches(draft.architecture), draft.input_side] if fixed else [None]
    for side in sides[:-1]:
        try:
            backbone = replace(draft, fixed_side=side)
            return PixelBackbone(build_backbone(backbone, file)).eval(), backbone
        except WeightsError:
            continue  # Not every network of a fixed size can be built for another one.
    backbone = replace(draft, fixed_side=sides[-1])
    return PixelBackbone(build_backbone(backbone, file)).eval(), backbone


def _whole_patches(architecture: str) -> int | None:
    """The greatest side within the images' that a network's patches fill."""
    network = timm.create_model(architecture, pretrained=False, num_classes=0)
    patch = getattr(getattr(network, "patch_embed", None), "patch_size", None)
    return IMAGE_SIDE // patch[0] * patch[0] if patch else None


def _try_export(network: PixelBackbone) -> tuple[int, float]:
    """Exports a network; returns how many features it gives and the seconds that an image takes on one core.

    Raises:
        WeightsError: if the export gives other features than the network.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (3, IMAGE_SIDE, IMAGE_SIDE, 3), dtype=np.uint8)
    eager = score_with_network(network, pixels)
    scorer = session_scorer(export_backbone(network))
    exported = scorer(pixels)
    if eager.ndim != 2 or eager.shape != exported.shape:
        raise WeightsError(f"the network gives features of shape {eager.shape[1:]}, not one row of numbers")
    difference = float(np.abs(eager - exported).max() / np.abs(eager).max())
    if not difference <= _MAX_DIFFERENCE:  # Also if it is not a number.
        raise WeightsError(f"the exported network differs from the network by {difference:.1e} of its largest feature")
    return eager.shape[1], _seconds_of(scorer, pixels[:1])


def _seconds_of(scorer: Scorer, pixels: Pixels) -> float:
    def run() -> float:
        begin = time.perf_counter()
        scorer(pixels)
        return time.perf_counter() - begin

    # The quickest: whatever else the machine does can only slow a run down.
    return min(run() for _ in range(_TIMED_RUNS))


def _of_planes(numbers: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = numbers
    return red, green, blue


def _licence(text: str | None) -> str:
    """The SPDX identifier of what timm writes in small letters; SPDX has a prefix for all other licences."""
    if not text:
        return _UNKNOWN_LICENCE
    return _SPDX.get(text.lower(), f"LicenseRef-{text}")


def main(arguments: list[str]) -> int:
    """Describes; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sightsmith_training.engine.backbone_description")
    parser.add_argument("model", help="name of the network in timm, and of its pretrained weights after a dot")
    parser.add_argument("file", type=Path, help="of the weights")
    wanted = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        print(describe_backbone(wanted.model, wanted.file).model_dump_json())  # noqa: T201 - the program's result
    except WeightsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
