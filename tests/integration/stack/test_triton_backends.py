"""Both embedded backends serve what NVIDIA's would, from the same files."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tiny_models
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from sightsmith.stack import Stack

BACKENDS = ("onnxruntime", "pytorch")
INSTANCE_GROUPS = ("", "instance_group [ { kind: KIND_AUTO count: 2 } ]\n", "instance_group [ { count: 2 } ]\n")


@pytest.fixture(scope="module")
def repository(stack: Stack) -> Path:
    return stack.endpoints.triton_repository


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(stack.endpoints.triton_target) as client:
        yield client


@pytest.fixture(scope="module", params=BACKENDS)
def model(request: pytest.FixtureRequest, client: InferenceServerClient, repository: Path) -> str:
    """A loaded model, one per backend."""
    name = f"tiny-{request.param}"
    tiny_models.add_model(repository, name, request.param)
    client.load_model(name)
    return name


def scores(client: InferenceServerClient, model: str, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    tensor = InferInput(tiny_models.INPUT, pixels.shape, "UINT8")
    tensor.set_data_from_numpy(pixels)
    answer = client.infer(model, [tensor], outputs=[InferRequestedOutput(tiny_models.OUTPUT)])
    result: NDArray[np.float32] = answer.as_numpy(tiny_models.OUTPUT)
    return result


@pytest.mark.parametrize("count", [1, 5, 8])
def test_answers_as_in_process(client: InferenceServerClient, model: str, count: int) -> None:
    pixels = tiny_models.images(count)
    np.testing.assert_allclose(scores(client, model, pixels), tiny_models.expected_scores(pixels), rtol=1e-5)


def test_runs_the_warm_up_and_puts_requests_together(client: InferenceServerClient, model: str) -> None:
    before = client.get_inference_statistics(model, as_json=True)["model_stats"][0]
    batches = [tiny_models.images(count, seed) for seed, count in enumerate([1, 2, 3, 1])]
    with ThreadPoolExecutor(len(batches)) as pool:
        answers = list(pool.map(lambda pixels: scores(client, model, pixels), batches))
    for pixels, answer in zip(batches, answers, strict=True):
        np.testing.assert_allclose(answer, tiny_models.expected_scores(pixels), rtol=1e-5)
    after = client.get_inference_statistics(model, as_json=True)["model_stats"][0]
    runs = int(after["execution_count"]) - int(before["execution_count"])
    assert runs < len(batches), f"{len(batches)} requests took {runs} runs"
    assert client.is_model_ready(model)


def test_a_request_that_the_model_refuses_fails_alone(client: InferenceServerClient, repository: Path) -> None:
    tiny_models.add_lookup_model(repository, "lookup")
    client.load_model("lookup")

    def look_up(index: int) -> float | str:
        try:
            return float(scores(client, "lookup", np.array([[index]], dtype=np.uint8))[0, 0])
        except InferenceServerException as error:
            return str(error)

    with ThreadPoolExecutor(3) as pool:
        first, wrong, last = pool.map(look_up, [1, 200, 2])
    assert (first, last) == (1.0, 2.0)
    assert "out of data bounds" in str(wrong)


def test_refuses_more_than_a_full_batch(client: InferenceServerClient, model: str) -> None:
    with pytest.raises(InferenceServerException, match="batch-size"):
        scores(client, model, tiny_models.images(9))


def test_unloads(client: InferenceServerClient, repository: Path) -> None:
    tiny_models.add_model(repository, "short-lived", "onnxruntime")
    client.load_model("short-lived")
    client.unload_model("short-lived")
    with pytest.raises(InferenceServerException):
        scores(client, "short-lived", tiny_models.images(1))


@pytest.mark.parametrize("instance_group", INSTANCE_GROUPS)
def test_takes_stock_instance_groups(
    client: InferenceServerClient, repository: Path, request: pytest.FixtureRequest, instance_group: str
) -> None:
    name = f"group-{INSTANCE_GROUPS.index(instance_group)}"
    tiny_models.add_model(repository, name, "onnxruntime", instance_group=instance_group)
    client.load_model(name)
    pixels = tiny_models.images(2)
    np.testing.assert_allclose(scores(client, name, pixels), tiny_models.expected_scores(pixels), rtol=1e-5)
    client.unload_model(name)


def test_a_broken_model_leaves_the_server_alive(client: InferenceServerClient, repository: Path, model: str) -> None:
    backend = model.removeprefix("tiny-")
    name = f"broken-{backend}"
    tiny_models.add_model(repository, name, backend)
    for file in (repository / name / "1").iterdir():
        file.write_bytes(b"not a model")
    with pytest.raises(InferenceServerException, match="load failed"):
        client.load_model(name)
    assert scores(client, model, tiny_models.images(1)).shape == (1, tiny_models.LABELS)


def test_says_which_parameter_is_wrong(client: InferenceServerClient, repository: Path) -> None:
    parameters = 'parameters { key: "intra_op_thread_count" value: { string_value: "many" } }\n'
    tiny_models.add_model(repository, "threads", "onnxruntime", parameters=parameters)
    with pytest.raises(InferenceServerException, match="intra_op_thread_count is 'many'"):
        client.load_model("threads")
