"""What a user of the command line may do about an error: services say what is wrong, and know of no commands."""

import os
from collections.abc import Callable, Mapping

from sightsmith.errors import InvalidArgumentError, SightsmithError
from sightsmith.names import DeploymentName
from sightsmith.stack.data_folder import chosen_data_dir
from sightsmith.stack.endpoints import find_running_stack

# What fields of the API are called here.
_OPTIONS = {
    "leave_out_rare_labels": "--leave-out-rare-labels",
    "training_job.budget": "--budget",
    "training_job.max_variant_loss": "--max-variant-loss",
    "training_job.output_prefix": "--output-prefix",
    "batch_prediction_job.output_prefix": "--output-prefix",
}


def in_options(message: str) -> str:
    """A message of a service, with the options of the command line for the fields that they fill."""
    for field, option in _OPTIONS.items():
        message = message.replace(field, option)
    return message


def hint_of(error: SightsmithError) -> str | None:
    """What to do about an error; None if that is not known."""
    hint = _HINTS.get(error.reason)
    return hint(error) if hint is not None else None


def _other_token(error: SightsmithError) -> str:
    for name in ("SIGHTSMITH_TOKEN", "SIGHTSMITH_TOKEN_FILE"):
        if os.environ.get(name):
            return f"{name} is set and overrides the token of the stack on this machine: mend it, or unset it"
    return "the token is that of the stack on this machine: SIGHTSMITH_TOKEN or SIGHTSMITH_TOKEN_FILE names another one"


def _start_deployment(error: SightsmithError) -> str | None:
    try:
        name = DeploymentName.parse(error.metadata.get("deployment", ""))
    except InvalidArgumentError:
        return None
    which = f"{name.project} {name.deployment}"
    if error.metadata.get("state") in ("STOPPED", "STOPPING"):
        return f"to start it: sightsmith deployments start {which}"
    return f"to see how it stands: sightsmith deployments show {which}"


def _wait_for_stack(error: SightsmithError) -> str | None:
    folder = chosen_data_dir()
    if find_running_stack(folder) is None:
        return None
    return (
        f"the stack in {folder} is starting, or this service of it is: try again in a moment. "
        f"What keeps it stands in {folder / 'logs'}"
    )


_HINTS: Mapping[str, Callable[[SightsmithError], str | None]] = {
    "INVALID_TOKEN": _other_token,
    "WRONG_STATE": _start_deployment,
    "UNAVAILABLE": _wait_for_stack,
}
