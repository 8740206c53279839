"""`sightsmith retrain`, and what becomes of the models that it proposes."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from sightsmith.api.training.v1.retraining_pb2 import Retraining, RetrainingPolicy
from sightsmith.api.training.v1.training_job_pb2 import TrainingJob
from sightsmith.cli.output import JsonOption, Output, fields_of, list_of
from sightsmith.cli.training import ProjectArgument, short_id
from sightsmith.cli.training_wishes import EffortOption, WishedEffort
from sightsmith.client import Client

_NameArgument = Annotated[str, typer.Argument(help="Id of the deployment, such as live.")]


def retrain_command(
    project: ProjectArgument,
    name: _NameArgument,
    effort: EffortOption = WishedEffort.BALANCED,
    only_if_better: Annotated[
        bool, typer.Option("--only-if-better", help="Propose the new model only if it is better by more than chance.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Begin and return.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a deployment's model anew on what is labelled by now, corrections included, and propose the new one."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        begun = client.retrainings.begin(project, name, _effort(effort), only_if_better=only_if_better)
        if not detach:
            with output.console.status(f"training {name} of {project} anew"):
                begun = client.retrainings.wait(begun.name)
    output.result(fields_of(begun), _told(begun))


def retrainings_command(project: ProjectArgument, as_json: JsonOption = False) -> None:
    """List the retrainings of a project, newest first."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        found = list(client.retrainings.list(project))
    table = Table("retraining", "deployment", "state", "baseline", "model", "corrections", "statement")
    for one in found:
        table.add_row(
            short_id(one.name),
            escape(short_id(one.deployment)),
            _state(one),
            short_id(one.baseline),
            short_id(one.model),
            str(one.correction_count or ""),
            escape(one.comparison.statement or one.error.message),
        )
    output.result({"retrainings": list_of(found)}, table)


def policy_command(
    project: ProjectArgument,
    name: _NameArgument,
    corrections: Annotated[
        int | None,
        typer.Option(min=0, help="Train anew after so many corrections of the model that answers; 0: never."),
    ] = None,
    canary: Annotated[
        float | None, typer.Option(help="Share of traffic, 0 to 1, that a better model gets at once; 0: none.")
    ] = None,
    effort: Annotated[WishedEffort | None, typer.Option(help="How much a training tries.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show when a deployment's model is trained anew by itself, or change that."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        policy = client.retrainings.policy(project, name)
        wanted = RetrainingPolicy(
            min_correction_count=policy.min_correction_count if corrections is None else corrections,
            canary_share=policy.canary_share if canary is None else canary,
            effort=policy.effort if effort is None else _effort(effort),
        )
        if (corrections, canary, effort) != (None, None, None):
            policy = client.retrainings.set_policy(project, name, wanted)
    needed = policy.min_correction_count
    when = f"after {needed} corrections, of which there are {policy.correction_count}" if needed else "never by itself"
    output.result(fields_of(policy), f"{name} is trained anew {when}")


def accept_command(project: ProjectArgument, name: _NameArgument, as_json: JsonOption = False) -> None:
    """Put the proposed model behind the name; what answers goes on until it is ready."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        accepted = client.serving.accept(project, name)
        with output.console.status(f"deploying {accepted.model}"):
            deployment = client.wait_for_deployment(accepted.name)
    output.result(fields_of(deployment), f"{deployment.name} serves {deployment.serving_model}")


def dismiss_command(project: ProjectArgument, name: _NameArgument, as_json: JsonOption = False) -> None:
    """Forget the proposed model; a canary of it gets no more traffic."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        deployment = client.serving.dismiss(project, name)
    output.result(fields_of(deployment), f"nothing is proposed for {deployment.name}")


def _effort(effort: WishedEffort) -> TrainingJob.Effort.ValueType:
    return TrainingJob.Effort.Value(f"EFFORT_{effort.name}")


def _state(retraining: Retraining) -> str:
    return Retraining.State.Name(retraining.state).removeprefix("STATE_").replace("_", " ").lower()


def _told(retraining: Retraining) -> str:
    """What came of it, in a line."""
    model, why = short_id(retraining.model), retraining.comparison.statement or "nothing to compare"
    if retraining.state == Retraining.STATE_PROPOSED:
        how = f"sightsmith deployments accept PROJECT {short_id(retraining.deployment)}"
        return f"{model} is proposed: {why}. To accept it: {how}"
    if retraining.state == Retraining.STATE_NOT_BETTER:
        return f"{model} is not proposed: {why}"
    return f"{retraining.name} is {_state(retraining)}"
