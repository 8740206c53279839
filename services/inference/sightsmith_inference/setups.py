"""How a Triton server runs a model: what of its `config.pbtxt` is decided where it is deployed."""

import json
from dataclasses import dataclass, replace

from google.protobuf import json_format, text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from sightsmith_inference.processors import Processor

# The parameters that stock backends read; the embedded ones read the same.
_THREADS = {"onnxruntime": "intra_op_thread_count", "pytorch": "INTRA_OP_THREAD_COUNT"}


@dataclass(frozen=True)
class Setup:
    """How a server runs a model.

    Attributes:
        instances: batches that it works on at once, on its CPU or on each of its GPUs; at least 1.
        threads: of an instance; 0 for what the backend chooses.
        batch_size: images that it likes to put together; 0 for as many as the model takes.
    """

    instances: int = 1
    threads: int = 0
    batch_size: int = 0

    def times(self, replicas: int) -> "Setup":
        """As many replicas beside each other."""
        return replace(self, instances=self.instances * replicas)


def plain_setup(processor: Processor) -> Setup:
    """What Triton does where the file says nothing: two instances on CPUs, one on each GPU."""
    return Setup(instances=2 if processor is Processor.CPU else 1)


def setup_of(config: ModelConfig) -> Setup:
    """The set-up of a model that Triton has loaded."""
    # Triton fills in the largest batch where nothing is preferred.
    preferred = [size for size in config.dynamic_batching.preferred_batch_size if size != config.max_batch_size]
    threads = config.parameters[_THREADS[config.backend]].string_value if _has_threads(config) else "0"
    return Setup(
        instances=max((group.count for group in config.instance_group), default=1),
        threads=int(threads) if threads.isdecimal() else 0,
        batch_size=preferred[0] if preferred else 0,
    )


def configured(text: str, setup: Setup) -> str:
    """A `config.pbtxt` with another set-up, as the JSON that Triton takes with a load in place of the file.

    Args:
        text: the `config.pbtxt` of a model that can be served.
        setup: how the model is to run.
    """
    config = text_format.Parse(text, ModelConfig())
    if not config.instance_group:
        config.instance_group.add(kind=ModelInstanceGroup.KIND_AUTO)
    for group in config.instance_group:
        group.count = setup.instances
    if setup.threads and config.backend in _THREADS:
        config.parameters[_THREADS[config.backend]].string_value = str(setup.threads)
    if setup.batch_size:
        config.dynamic_batching.preferred_batch_size[:] = [setup.batch_size]
    return json.dumps(json_format.MessageToDict(config, preserving_proto_field_name=True))


def _has_threads(config: ModelConfig) -> bool:
    return config.backend in _THREADS and _THREADS[config.backend] in config.parameters
