"""The published weights of EfficientNet-Lite under the names that timm has for its layers."""

import re
from collections.abc import Mapping

from torch import Tensor, nn

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


def as_timm_names(weights: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Renames published weights to those of timm's network of the same size."""
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
