"""Variants of a training's ONNX model, from the worker to those who ask."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from sightsmith.api.training.v1.model_pb2 import Artifact, Model, Recommendation
from sightsmith.client import Client
from tests.integration.training.finished_training import RECOMMENDATIONS, VARIANTS, Workshop
from tests.integration.training.judged_answers import one_label

NewProject = Callable[[], str]


@pytest.fixture
async def model(client: Client, workshop: Workshop, new_project: NewProject) -> Model:
    return client.model(str((await workshop.publish(new_project(), one_label(1))).name))


def files_of(model: Model, store: Path) -> dict[str, bytes]:
    """The files of the variant in eight bits, by path."""
    artifacts = [artifact for artifact in model.artifacts if artifact.format == Artifact.FORMAT_ONNX_INT8]
    return {artifact.path: (store / artifact.key).read_bytes() for artifact in artifacts}


def configuration(model: Model, store: Path) -> model_config_pb2.ModelConfig:
    return text_format.Parse(files_of(model, store)["config.pbtxt"], model_config_pb2.ModelConfig())


def test_the_model_tells_what_came_of_its_variants(model: Model) -> None:
    half, eight = model.variants
    assert (half.format, half.kept, half.reason) == (Artifact.FORMAT_ONNX_FP16, False, VARIANTS[0].reason)
    assert {"figure", "full_figure", "label_agreement"}.isdisjoint(field.name for field, _ in half.ListFields())
    assert (eight.format, eight.kept, eight.recipe) == (Artifact.FORMAT_ONNX_INT8, True, VARIANTS[1].recipe)
    assert (eight.full_figure, eight.figure, eight.label_agreement, eight.image_count) == (0.895, 0.89, 0.99, 100)
    assert (eight.full_milliseconds_per_image, eight.milliseconds_per_image) == (5.0, 3.0)
    assert {each.runtime: (each.format, each.reason) for each in model.recommendations} == {
        Recommendation.RUNTIME_ONNXRUNTIME_CPU: (Artifact.FORMAT_ONNX_INT8, RECOMMENDATIONS[0].reason),
        Recommendation.RUNTIME_ONNXRUNTIME_CUDA: (Artifact.FORMAT_ONNX, RECOMMENDATIONS[1].reason),
    }


def test_a_variant_lies_as_triton_reads_it_also_in_a_copy(
    client: Client, model: Model, new_project: NewProject, store: Path
) -> None:
    copy = client.models.copy(model.name, new_project())
    assert (copy.variants, copy.recommendations) == (model.variants, model.recommendations)
    for each in (model, copy):
        _, project, _, version = each.name.split("/")
        found = configuration(each, store)
        assert found.name.startswith(f"{project}.{version}.onnx_int8.")
        assert (found.backend, found.default_model_filename) == ("onnxruntime", "model.onnx")
    assert files_of(copy, store)["1/model.onnx"] == files_of(model, store)["1/model.onnx"]


def test_people_are_told_of_variants(run: Callable[..., Result], client: Client, model: Model) -> None:
    _, project, _, version = model.name.split("/")
    shown = " ".join(run("models", "show", project, version).stdout.split())
    assert "onnxruntime_cpu" in shown
    assert "0.895" in shown
    card = client.models.card(model.name)
    assert "| onnx_fp16 | no | it cannot be made: for want of memory |" in card
    assert "| onnxruntime_cpu | onnx_int8 | 3.0 ms an image instead of 5.0 |" in card
