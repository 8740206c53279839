"""Asking Triton itself, as docs/predictions.md shows it."""

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightsmith.errors import SightsmithError
from sightsmith.images import decode_square
from sightsmith.stack import Stack
from tests.integration.inference.conftest import ALPHA, png
from tests.integration.inference.inference_client import InferenceClient
from tests.integration.inference.tiny_models import LABELS, SIDE, TinyModel

PAGE = Path(__file__).parents[3] / "docs" / "predictions.md"


async def test_what_is_told_of_the_serving_model(stack: Stack, client: InferenceClient, main: str) -> None:
    model = await client.serving_model(main)
    assert model.name == "projects/shop/deployments/main/servingModel"
    assert model.model == ALPHA
    assert model.triton_model == (await client.get(main)).triton_model
    assert (model.grpc_target, model.http_url) == (stack.endpoints.triton_target, stack.endpoints.triton_url)
    assert (model.input.name, model.input.datatype, list(model.input.shape)) == (
        "INPUT__0",
        "UINT8",
        [-1, SIDE, SIDE, 3],
    )
    assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in model.outputs] == [
        ("OUTPUT__0", "FP32", [-1, len(LABELS)])
    ]
    assert tuple(model.labels) == LABELS
    assert not model.thresholds
    assert model.max_batch_size >= 1


async def test_a_deployment_that_is_not_there(client: InferenceClient, main: str) -> None:
    with pytest.raises(SightsmithError) as raised:
        await client.serving_model("nothing")
    assert raised.value.reason == "NOT_FOUND"


async def test_the_example_of_the_page(stack: Stack, main: str, alpha: TinyModel, tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(import numpy.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    # As large as the model's input, so that no filter makes a difference.
    image = png(7, side=SIDE)
    (tmp_path / "photo.jpg").write_bytes(image)
    done = await asyncio.to_thread(_run, stack, example.replace('"live"', f'"{main}"'), tmp_path)
    assert done.returncode == 0, done.stderr
    label, score = done.stdout.split()
    scores = alpha.scores(image)
    assert label == max(scores, key=scores.__getitem__)
    assert float(score) == pytest.approx(scores[label], abs=1e-4)


async def test_by_http(client: InferenceClient, main: str, alpha: TinyModel, image: bytes) -> None:
    model = await client.serving_model(main)
    pixels = decode_square(image, SIDE)[None]
    tensor = {
        "name": model.input.name,
        "datatype": model.input.datatype,
        "shape": pixels.shape,
        "data": pixels.tolist(),
    }
    url = f"{model.http_url}/v2/models/{model.triton_model}/infer"
    (output,) = (await asyncio.to_thread(_post, url, {"inputs": [tensor]}))["outputs"]
    assert np.array(output["data"]) == pytest.approx(list(alpha.scores(image).values()), abs=1e-5)


def _run(stack: Stack, program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "SIGHTSMITH_DATA_DIR": str(stack.endpoints.data_dir)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode())  # noqa: S310 - of our own stack
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return dict(json.load(answer))
