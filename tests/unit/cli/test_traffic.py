"""How shares of traffic are written and shown."""

import pytest
from rich.console import Console

from sightsmith.api.inference.v1.deployment_pb2 import Alias, Deployment, ServingAlias, ShadowFigures
from sightsmith.cli.deployments import alias_of, deployments_table, described
from sightsmith.errors import SightsmithError

V3 = "projects/shop/models/v3"


def _read(text: str, *, shadow: bool = False) -> Alias:
    return alias_of(text, lambda model: f"projects/shop/models/{model}", shadow=shadow)


@pytest.mark.parametrize(
    ("text", "share"),
    [("canary=v3:5%", 0.05), ("canary=v3:0.05", 0.05), ("canary=v3:100%", 1.0), ("canary=v3:12.5%", 0.125)],
)
def test_a_share_is_a_part_or_in_percent(text: str, share: float) -> None:
    assert _read(text) == Alias(alias="canary", model=V3, share=share)


def test_without_a_share_a_shadow_sees_everything_and_others_wait_to_be_asked() -> None:
    assert _read("canary=v3") == Alias(alias="canary", model=V3)
    assert _read("canary=v3", shadow=True) == Alias(alias="canary", model=V3, share=1.0, shadow=True)


@pytest.mark.parametrize("text", ["", "canary", "canary=", "=v3", "canary=v3:", "canary=v3:x", "a=b=c", "a=v3:1.2.3"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(SightsmithError, match="--alias: must look like canary=v3:5%"):
        _read(text)


def test_what_answers_and_what_looks_on_is_shown() -> None:
    figures = ShadowFigures(compared_count=200, disagreement_count=7, dropped_count=3, mean_milliseconds=4.25)
    deployment = Deployment(
        name="projects/shop/deployments/live",
        state=Deployment.STATE_RUNNING,
        serving_aliases=[
            ServingAlias(alias="live", model="projects/shop/models/v2", share=0.95),
            ServingAlias(alias="canary", model=V3, share=0.05),
            ServingAlias(alias="next", model="projects/shop/models/v4", share=1.0, shadow=figures),
        ],
    )
    release = deployment.past_releases.add(release=1, aliases=[Alias(alias="live", model=V3, share=1.0)])
    release.serve_time.FromSeconds(1_700_000_000)
    console = Console(width=160)
    with console.capture() as shown:
        for item in described(deployment):
            console.print(item)
    text = shown.get()
    for part in ("live v2 95%, canary v3 5%, next v4 100% shadow", "3.5%", "2023-11-14 22:13:20", "live v3 100%"):
        assert part in text


def test_what_is_wanted_is_told_beside_what_answers_while_they_differ() -> None:
    serving = [ServingAlias(alias="live", model="projects/shop/models/v2", share=1.0)]
    deployment = Deployment(
        name="projects/shop/deployments/live",
        model="projects/shop/models/v2",
        aliases=[Alias(alias="canary", model=V3, share=0.25)],
        serving_aliases=serving,
        release=2,
        serving_release=1,
    )
    console = Console(width=160)
    with console.capture() as changing:
        console.print(deployments_table([deployment]))
    deployment.serving_release = 2
    with console.capture() as settled:
        console.print(deployments_table([deployment]))
    assert "live v2 75%, canary v3 25%" in changing.get()
    assert "wanted" not in settled.get()


def test_a_release_whose_model_is_deleted_is_marked() -> None:
    deployment = Deployment(name="projects/shop/deployments/live", serving_release=2, release=2)
    aliases = [Alias(alias="live", model=V3, share=1.0)]
    deployment.past_releases.add(release=1, aliases=aliases, gone_models=[V3]).serve_time.FromSeconds(1_700_000_000)
    console = Console(width=160)
    with console.capture() as shown:
        for item in described(deployment):
            console.print(item)
    assert "live v3 100% (deleted: v3)" in shown.get()
