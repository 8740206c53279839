"""The catalogue, and weights that come with a package."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from sightsmith.names import BackboneName
from sightsmith_training.engine.backbones import load_backbone
from sightsmith_training.engine.catalogue import (
    CATALOGUE,
    IMAGE_SIDE,
    NANODET,
    STARTING_POINTS,
    Backbone,
    LocalFile,
    PythonPackage,
    WeightsFile,
)
from sightsmith_training.weights.errors import WeightsError

LITE0 = CATALOGUE[0]


def test_weights_of_a_package_are_checked() -> None:
    with pytest.raises(WeightsError, match="SHA-256 differs"):
        load_backbone(replace(LITE0, files=(replace(LITE0.files[0], sha256="0" * 64),)))
    with pytest.raises(WeightsError, match="install the Python package no_such_package"):
        load_backbone(replace(LITE0, source=PythonPackage("no_such_package")))


def test_the_numbers_are_those_of_the_networks() -> None:
    for backbone in CATALOGUE:
        network = load_backbone(backbone)
        classifier = 1280 * 1000 + 1000
        assert sum(parameter.numel() for parameter in network.parameters()) + classifier == backbone.parameters
        assert network.num_features == backbone.features


def test_every_entry_is_complete() -> None:
    assert len(STARTING_POINTS) == len(CATALOGUE) + 1
    for entry in STARTING_POINTS.values():
        assert re.fullmatch("[a-z0-9-]+", entry.name)
        assert entry.licence == "Apache-2.0"
        assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in entry.files)
        assert min(entry.cost, entry.parameters, entry.input_side) > 0
    assert [len(file.sha256) for file in NANODET.files] == [64, 64]


def test_a_content_name_is_an_id_of_the_api() -> None:
    # Stored embeddings and published backbones bear this name.
    assert LITE0.content_name == f"efficientnet-lite0-{IMAGE_SIDE}px-579344248a93e230-export1"
    long = Backbone(
        name="vit-large-patch14-reg4-dinov2-lvd142m",
        architecture="vit_large_patch14_reg4_dinov2.lvd142m",
        source=LocalFile(Path("/weights.pth")),
        files=(WeightsFile("weights.pth", "a" * 64),),
        licence="Apache-2.0",
        input_side=518,
        parameters=1,
        cost=1.0,
        features=1024,
    )
    name = str(BackboneName(long.content_name))
    assert BackboneName.parse(name).backbone == long.content_name
