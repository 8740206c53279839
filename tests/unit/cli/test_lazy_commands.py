"""Commands that are imported when they are called."""

import subprocess
import sys

import pytest
from typer.main import get_group
from typer.testing import CliRunner

from sightsmith.cli import main, models
from sightsmith.cli.lazy_commands import Lazy

LAZY = {**main.COMMANDS, **{f"models {name}": lazy for name, lazy in models.MORE_COMMANDS.items()}}


@pytest.mark.parametrize("name", LAZY)
def test_a_list_says_of_a_command_what_the_command_says(name: str) -> None:
    lazy = LAZY[name]
    told = lazy.load(name.split()[-1]).help.split("\n\n")[0].replace("\n", " ")
    assert lazy.help == told


def test_arguments_reach_the_command() -> None:
    done = CliRunner().invoke(main.app, ["models", "compare", "shop", "v1", "--snapshot", "0"], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert "models compare [OPTIONS]" in done.output
    assert "--snapshot" in done.output


def test_a_list_of_commands_imports_none_of_them() -> None:
    """In a process of its own, as others have imported them here."""
    program = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from sightsmith.cli.main import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "print([name for name in ('grpc', 'pydantic', 'sqlalchemy', 'PIL') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_client_needs_no_server_s_libraries() -> None:
    program = (
        "import sys\n"
        "import sightsmith.cli.datasets, sightsmith.cli.training, sightsmith.cli.serving\n"
        "print([name for name in ('sqlalchemy', 'structlog', 'psycopg', 'PIL', 'pydantic') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_lazy_command_keeps_its_name() -> None:
    assert Lazy("datasets:projects_command", "").load("projects").name == "projects"
    assert set(get_group(main.app).commands) == set(main.COMMANDS)
