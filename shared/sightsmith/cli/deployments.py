"""`sightsmith deployments`."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from sightsmith.api.inference.v1.deployment_pb2 import Alias, Deployment, ServingAlias
from sightsmith.cli.output import JsonOption, Output, fields_of, list_of
from sightsmith.cli.production import figures_command
from sightsmith.cli.retraining import accept_command, dismiss_command, policy_command, retrainings_command
from sightsmith.cli.scaling import IdleOption, ReplicasOption, profile_tables, replicas_of, replicas_table
from sightsmith.cli.training import ProjectArgument, model_name, short_id
from sightsmith.client import Client
from sightsmith.errors import InvalidArgumentError, NotFoundError
from sightsmith.names import DeploymentName

deployments_app = typer.Typer(
    help="Share the traffic of deployments among model versions, roll back, scale, stop and start.",
    no_args_is_help=True,
)

deployments_app.command("figures")(figures_command)
deployments_app.command("accept")(accept_command)
deployments_app.command("dismiss")(dismiss_command)
deployments_app.command("retrainings")(retrainings_command)
deployments_app.command("retraining-policy")(policy_command)

NameArgument = Annotated[str, typer.Argument(help="Id of the deployment, such as live.")]
WaitOption = Annotated[bool, typer.Option(help="Wait until it is so.")]
# The alias of a deployment's own model.
_LIVE = "live"
# `canary=v3:5%`; a share may also be written as 0.05.
_ALIAS = re.compile(r"(?P<alias>[^=:]+)=(?P<model>[^=:]+?)(:(?P<number>[0-9]+(\.[0-9]+)?)(?P<percent>%?))?")


@deployments_app.command("list")
def list_command(project: ProjectArgument, as_json: JsonOption = False) -> None:
    """List the deployments of a project with what answers."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        found = list(client.serving.list(project))
    output.result({"deployments": list_of(found)}, deployments_table(found))


@deployments_app.command("show")
def show_command(project: ProjectArgument, name: NameArgument, as_json: JsonOption = False) -> None:
    """Show what answers under a name, how its shadows do, and what answered before."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        deployment = client.deployment(str(DeploymentName(project, name)))
    output.result(fields_of(deployment), *described(deployment))


@deployments_app.command("traffic")
def traffic_command(
    project: ProjectArgument,
    name: NameArgument,
    alias: Annotated[
        list[str] | None, typer.Option(help="A model that answers too, such as canary=v3:5%. May be repeated.")
    ] = None,
    shadow: Annotated[
        list[str] | None, typer.Option(help="A model that only looks on, such as next=v4:100%. May be repeated.")
    ] = None,
    model: Annotated[str, typer.Option(help="Id of another model for the rest of the traffic.")] = "",
    wait: WaitOption = True,
    as_json: JsonOption = False,
) -> None:
    """Share the traffic of a deployment anew: what is not named gets none, and the deployment's own model the rest."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        name_of = partial(model_name, client, project)
        aliases = [alias_of(text, name_of) for text in alias or ()]
        aliases += [alias_of(text, name_of, shadow=True) for text in shadow or ()]
        own = model_name(client, project, model) if model else ""
        changed = client.serving.share(project, name, aliases, own)
        _report(client, changed, output, wait)


@deployments_app.command("promote")
def promote_command(
    project: ProjectArgument,
    name: NameArgument,
    alias: Annotated[str, typer.Argument(help="The alias whose model is to have all traffic that others leave.")],
    wait: WaitOption = True,
    as_json: JsonOption = False,
) -> None:
    """Let the model of an alias take over: it becomes the deployment's own, and the alias is dropped."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        aliases = _aliases_that_answer(client.deployment(str(DeploymentName(project, name))))
        promoted = next((found for found in aliases if found.alias == alias), None)
        if promoted is None:
            raise NotFoundError(f"{DeploymentName(project, name)}@{alias}")
        others = [found for found in aliases if found.alias != alias]
        _report(client, client.serving.share(project, name, others, promoted.model), output, wait)


@deployments_app.command("rollback")
def rollback_command(
    project: ProjectArgument,
    name: NameArgument,
    release: Annotated[int, typer.Option(min=0, help="Number of a past release; the last one if left out.")] = 0,
    wait: WaitOption = True,
    as_json: JsonOption = False,
) -> None:
    """Go back to what answered before."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        _report(client, client.serving.roll_back(project, name, release), output, wait)


@deployments_app.command("scale")
def scale_command(
    project: ProjectArgument,
    name: NameArgument,
    replicas: ReplicasOption = None,
    idle: IdleOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let more or fewer replicas answer, without disturbing those that do."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        wanted = replicas_of(client, project, name, replicas, idle)
        if wanted is None:
            raise typer.BadParameter("give --replicas, --idle or both")
        deployment = client.serving.scale(project, name, wanted)
    output.result(fields_of(deployment), *described(deployment))


@deployments_app.command("stop")
def stop_command(
    project: ProjectArgument, name: NameArgument, wait: WaitOption = True, as_json: JsonOption = False
) -> None:
    """Take a deployment out of service; its name and everything that was set stay."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        deployment = client.serving.stop(project, name)
        if wait:
            with output.console.status(f"{deployment.name} is {_state(deployment)}"):
                deployment = client.serving.wait_until_stopped(project, name)
    output.result(fields_of(deployment), f"{deployment.name} is {_state(deployment)}")


@deployments_app.command("start")
def start_command(
    project: ProjectArgument, name: NameArgument, wait: WaitOption = True, as_json: JsonOption = False
) -> None:
    """Put a deployment into service again that was stopped or failed."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        _report(client, client.serving.start(project, name), output, wait)


@deployments_app.command("watch")
def watch_command(project: ProjectArgument, name: NameArgument, as_json: JsonOption = False) -> None:
    """Tell every change of a deployment until Ctrl-C."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        for deployment in client.serving.watch(project, name):
            wanted = f", wanted: {_answering(_wanted(deployment))}" if _is_changing(deployment) else ""
            told = f"{_state(deployment)}: {_answering(deployment.serving_aliases)}{wanted}"
            output.result(fields_of(deployment), told)


@deployments_app.command("delete")
def delete_command(
    project: ProjectArgument,
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking, as in scripts.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take a deployment out of service and forget it."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        found = client.deployment(str(DeploymentName(project, name)))
        if not yes:
            answers = _answering(found.serving_aliases)
            typer.confirm(f"Delete {found.name}, behind which {answers} answers?", abort=True, err=True)
        client.serving.delete(project, name)
    output.result({"deleted": found.name}, f"{found.name} is deleted")


def deployments_table(deployments: Iterable[Deployment]) -> Table:
    """Deployments with their states, with what answers and, where that is something else, with what is wanted."""
    deployments = list(deployments)
    tells_wanted = any(map(_is_changing, deployments))
    table = Table("deployment", "state", "answers", *(["wanted"] if tells_wanted else []), "error")
    for deployment in deployments:
        wanted = [_answering(_wanted(deployment)) if _is_changing(deployment) else ""] if tells_wanted else []
        error = f"[red]{escape(deployment.error.message)}[/]"
        name, answering = escape(short_id(deployment.name)), _answering(deployment.serving_aliases)
        table.add_row(name, _state(deployment), answering, *wanted, error)
    return table


def _is_changing(deployment: Deployment) -> bool:
    return deployment.release != deployment.serving_release


def _wanted(deployment: Deployment) -> Sequence[Alias]:
    """What is to answer, in the way of what answers."""
    taken = sum(alias.share for alias in deployment.aliases if not alias.shadow)
    return [Alias(alias=_LIVE, model=deployment.model, share=max(1 - taken, 0.0)), *deployment.aliases]


def _aliases_that_answer(deployment: Deployment) -> Sequence[Alias]:
    """The aliases beside `live` behind a name now; those that are wanted, where nothing answers."""
    if not deployment.serving_aliases:
        return deployment.aliases
    # What was wished for to run them, and not what that came to: a recommendation stays one.
    runtimes = {(alias.alias, alias.model): alias.runtime for alias in deployment.aliases}
    return [
        Alias(
            alias=alias.alias,
            model=alias.model,
            share=alias.share,
            shadow=_is_shadow(alias),
            runtime=runtimes.get((alias.alias, alias.model), Deployment.RUNTIME_UNSPECIFIED),
        )
        for alias in deployment.serving_aliases
        if alias.alias != _LIVE
    ]


def alias_of(text: str, model_name: Callable[[str], str], *, shadow: bool = False) -> Alias:
    """Reads `canary=v3:5%`, `canary=v3:0.05` or `canary=v3`.

    Without a share, a shadow sees everything, and any other alias answers only who asks for it.

    Args:
        text: what the user wrote.
        model_name: gives the full name of a model.
        shadow: whether it only looks on.

    Raises:
        InvalidArgumentError: if it is nothing like that.
    """
    match = _ALIAS.fullmatch(text)
    if match is None:
        option = "--shadow" if shadow else "--alias"
        raise InvalidArgumentError.of_field(option, f"must look like canary=v3:5% or canary=v3, not {text[:80]!r}")
    share = float(match["number"] or shadow) / (100 if match["percent"] else 1)
    return Alias(alias=match["alias"], model=model_name(match["model"]), share=share, shadow=shadow)


def described(deployment: Deployment) -> Sequence[Table]:
    """A deployment, its replicas, how its shadows do, and what answered before."""
    shadows = Table("shadow", "model", "images seen", "disagrees", "too busy for", "failed", "ms an image")
    for alias in deployment.serving_aliases:
        if alias.HasField("shadow"):
            figures = alias.shadow
            share = figures.disagreement_count / figures.compared_count if figures.compared_count else 0.0
            shadows.add_row(
                alias.alias,
                short_id(alias.model),
                str(figures.compared_count),
                f"{share:.1%}",
                str(figures.dropped_count),
                str(figures.failed_count),
                f"{figures.mean_milliseconds:.1f}",
            )
    past = Table("release", "served since", "models")
    for release in deployment.past_releases:
        since = release.serve_time.ToDatetime().isoformat(" ", "seconds")
        gone = escape(", ".join(map(short_id, release.gone_models)))
        told = f" [red](deleted: {gone})[/]" if gone else ""
        past.add_row(str(release.release), since, _answering(release.aliases) + told)
    proposed = Table("proposed", "why")
    if deployment.HasField("proposal"):
        proposed.add_row(short_id(deployment.proposal.model), escape(deployment.proposal.statement))
    tables = [proposed, replicas_table(deployment), *profile_tables(deployment), shadows, past]
    return [deployments_table([deployment]), *(table for table in tables if table.row_count)]


def _answering(aliases: Iterable[ServingAlias | Alias]) -> str:
    """Such as `live v2 95 %, canary v3 5 %`."""
    told = [
        f"{alias.alias} {short_id(alias.model)} {alias.share:.0%}{' shadow' if _is_shadow(alias) else ''}"
        for alias in aliases
    ]
    return escape(", ".join(told)) or "nothing"


def _is_shadow(alias: ServingAlias | Alias) -> bool:
    return alias.HasField("shadow") if isinstance(alias, ServingAlias) else alias.shadow


def _state(deployment: Deployment) -> str:
    return Deployment.State.Name(deployment.state).removeprefix("STATE_").lower()


def _report(client: Client, deployment: Deployment, output: Output, wait: bool) -> None:
    if wait:
        with output.console.status(f"{deployment.name} is {_state(deployment)}"):
            deployment = client.wait_for_deployment(deployment.name)
    output.result(fields_of(deployment), *described(deployment))
