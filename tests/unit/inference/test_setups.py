"""A set-up changes a configuration in these respects and in no other."""

import pytest
from google.protobuf import json_format, text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from tritonclient.grpc.model_config_pb2 import ModelConfig

from sightsmith_inference.setups import Setup, configured, setup_of
from sightsmith_training.triton_config import triton_config

setups = st.builds(Setup, st.integers(1, 16), st.integers(0, 16), st.integers(0, 7))


@pytest.mark.parametrize("model_format", ["onnx", "torchscript"])
@settings(max_examples=30)
@given(setup=setups)
def test_what_is_set_up_is_read_back(model_format: str, setup: Setup) -> None:
    text = triton_config("farm.v1.x.0", model_format, 224, 3)
    config = json_format.Parse(configured(text, setup), ModelConfig())
    assert setup_of(config) == setup
    before = text_format.Parse(text, ModelConfig())
    for changed in ("instance_group", "parameters"):
        config.ClearField(changed)
        before.ClearField(changed)
    config.dynamic_batching.ClearField("preferred_batch_size")
    assert config == before


def test_what_triton_fills_in_is_no_wish() -> None:
    config = text_format.Parse(triton_config("farm.v1.x.0", "onnx", 224, 3), ModelConfig())
    config.dynamic_batching.preferred_batch_size[:] = [config.max_batch_size]
    config.instance_group.add(count=1)
    assert setup_of(config) == Setup()


def test_replicas_multiply_instances() -> None:
    assert Setup(2, 1, 4).times(3) == Setup(6, 1, 4)
