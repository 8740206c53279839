"""Replicas of deployments on the command line."""

import re
from collections.abc import Sequence
from typing import Annotated

import typer
from google.rpc import code_pb2
from rich.markup import escape
from rich.table import Table

from sightsmith.api.inference.v1.deployment_pb2 import Deployment, Profile, Replicas
from sightsmith.cli.videos import seconds_of
from sightsmith.client import Client
from sightsmith.errors import SightsmithError
from sightsmith.names import DeploymentName

_RANGE = re.compile(r"(?P<min>[0-9]{1,6})(:(?P<max>[0-9]{1,6}))?")


def range_of(text: str) -> Replicas:
    """Reads `2` or `1:4`.

    Raises:
        typer.BadParameter: if it is neither.
    """
    match = _RANGE.fullmatch(text.strip())
    least, most = (int(match["min"]), int(match["max"] or match["min"])) if match else (0, 0)
    if not 1 <= least <= most:
        raise typer.BadParameter(f"must look like 2 or, to follow the load, 1:4, not {text[:80]!r}")
    return Replicas(min=least, max=most)


def idle_seconds_of(text: str) -> int:
    """Reads a time of a second or more, such as `10m`, or `never`, which is 0.

    Raises:
        typer.BadParameter: if it is neither.
    """
    if text.strip() == "never":
        return 0
    seconds = seconds_of(text)
    if not 1 <= seconds < 2**31:
        raise typer.BadParameter(f"must be a second or more, such as 10m, not {text[:80]!r}")
    return round(seconds)


ReplicasOption = Annotated[
    Replicas | None,
    typer.Option(parser=range_of, metavar="N or MIN:MAX", help="How many replicas answer, such as 2 or 1:4."),
]
IdleOption = Annotated[
    int | None,
    typer.Option(
        parser=idle_seconds_of, metavar="TIME", help="Unload after so long without a request, such as 10m; or never."
    ),
]
TuneOption = Annotated[
    bool | None, typer.Option("--tune/--no-tune", help="Measure how the model is set up best before it gets traffic.")
]


def replicas_of(
    client: Client, project: str, deployment: str, replicas: Replicas | None, idle_seconds: int | None
) -> Replicas | None:
    """What options ask for, and else what a deployment has; None if they say nothing."""
    if replicas is None and idle_seconds is None:
        return None
    wanted = Replicas()
    wanted.CopyFrom(_replicas_now(client, project, deployment))
    if replicas is not None:
        wanted.min, wanted.max = replicas.min, replicas.max
    if idle_seconds is not None:
        wanted.idle_seconds = idle_seconds
    return wanted


def replicas_table(deployment: Deployment) -> Table:
    """How many replicas there are and may be."""
    wanted, scale = deployment.replicas, deployment.scale
    table = Table("replicas", "answering", "wanted", "why", "idle after", "last asked")
    last = scale.last_use_time.ToDatetime().isoformat(" ", "seconds") if scale.HasField("last_use_time") else ""
    idle = f"{wanted.idle_seconds} s" if wanted.idle_seconds else "never"
    allowed = f"{wanted.min}" if wanted.min == wanted.max else f"{wanted.min} to {wanted.max}"
    table.add_row(str(scale.desired), str(scale.ready), allowed, escape(scale.reason), idle, last)
    return table


def profile_tables(deployment: Deployment) -> Sequence[Table]:
    """What was measured of each model."""
    return [_profile_table(profile) for profile in deployment.profiles]


def _profile_table(profile: Profile) -> Table:
    table = Table("instances", "threads", "batch", "images/s", "p95 ms", "chosen", title=escape(profile.triton_model))
    for trial in profile.trials:
        table.add_row(
            str(trial.instances),
            str(trial.threads or "auto"),
            str(trial.batch_size or "largest"),
            f"{trial.images_per_second:.1f}",
            f"{trial.p95_milliseconds:.1f}",
            "yes" if trial.chosen else "",
        )
    return table


def _replicas_now(client: Client, project: str, deployment: str) -> Replicas:
    try:
        return client.deployment(str(DeploymentName(project, deployment))).replicas
    except SightsmithError as error:
        if error.code != code_pb2.NOT_FOUND:
            raise
        return Replicas()
