"""How replicas are written and shown."""

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from sightsmith.api.inference.v1.deployment_pb2 import Deployment, Profile, Replicas, Scale
from sightsmith.cli.deployments import deployments_app, described
from sightsmith.cli.scaling import idle_seconds_of, range_of


@pytest.mark.parametrize(("text", "least", "most"), [("2", 2, 2), ("1:4", 1, 4), (" 3:3 ", 3, 3)])
def test_replicas_are_a_number_or_a_range(text: str, least: int, most: int) -> None:
    assert range_of(text) == Replicas(min=least, max=most)


@pytest.mark.parametrize("text", ["", "0", "0:4", "4:1", "1:", ":4", "-1", "many", "1:2:3"])
def test_other_replicas_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="must look like 2 or"):
        range_of(text)


@pytest.mark.parametrize(("text", "seconds"), [("never", 0), ("10m", 600), ("90", 90), ("1.5h", 5400)])
def test_idle_times(text: str, seconds: int) -> None:
    assert idle_seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["100ms", "soon", "0"])
def test_other_idle_times_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        idle_seconds_of(text)


def test_a_bad_range_is_told_by_its_option() -> None:
    result = CliRunner().invoke(deployments_app, ["scale", "shop", "live", "--replicas", "4:1"])
    assert result.exit_code == 2
    assert "--replicas" in result.output


def test_replicas_and_what_was_measured_are_shown() -> None:
    trials = [
        Profile.Trial(instances=1, images_per_second=120.5, p95_milliseconds=70),
        Profile.Trial(instances=2, threads=1, batch_size=4, images_per_second=201.25, p95_milliseconds=43, chosen=True),
    ]
    deployment = Deployment(
        name="projects/shop/deployments/live",
        state=Deployment.STATE_IDLE,
        replicas=Replicas(min=1, max=4, idle_seconds=600),
        scale=Scale(desired=2, ready=1, reason="requests queue for 80 ms"),
        profiles=[Profile(triton_model="shop.v1.onnx.0", trials=trials)],
    )
    console = Console(width=160)
    with console.capture() as shown:
        for item in described(deployment):
            console.print(item)
    text = shown.get()
    for part in ("idle", "1 to 4", "requests queue for 80 ms", "600 s", "shop.v1.onnx.0", "largest", "201.2", "yes"):
        assert part in text
