"""The command line on a real service."""

import json
from collections.abc import Callable
from typing import Any

from click.testing import Result
from typer.testing import CliRunner

from sightsmith.cli.main import app

Run = Callable[..., Result]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def result_of(done: Result, exit_code: int = 0) -> Any:
    assert done.exit_code == exit_code, done.output
    return json.loads(done.stdout)
