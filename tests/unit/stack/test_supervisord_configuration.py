"""The configuration must mean to supervisord what the stack means."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from sightsmith.stack import StackError
from sightsmith.stack.data_folder import DataFolder
from sightsmith.stack.program import Program
from sightsmith.stack.supervisord import Group, render_configuration


def program(environment: Mapping[str, str] | None = None, *arguments: str) -> Program:
    return Program("labeling", ("/bin/true", *arguments), is_ready=None, environment=environment or {})


def read_by_supervisord(folder: DataFolder, groups: list[Group]) -> ServerOptions:
    folder.create()
    folder.supervisord_config.write_text(render_configuration(folder, groups))
    options = ServerOptions()
    options.realize(["--configuration", str(folder.supervisord_config)])
    return options


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DataFolder]:
    folder = DataFolder(tmp_path / "100 % mine")
    yield folder
    shutil.rmtree(folder.run, ignore_errors=True)


@pytest.mark.parametrize("value", ["plain", "50%", "%(here)s", "a=b,c=d", 'with "quotes"', "it's", "a;b#c", "a b"])
def test_environment_arrives_as_it_was(folder: DataFolder, value: str) -> None:
    # One kind of quotation mark may stand inside, not at the end.
    value = f"{value}."
    options = read_by_supervisord(folder, [Group("services", (program({"VALUE": value, "OTHER": "x"}),))])
    [config] = options.process_group_configs[0].process_configs
    assert config.environment == {"VALUE": value, "OTHER": "x"}


@pytest.mark.parametrize("value", ["two\nlines", "a ;comment", "a #comment", "both ' and \" here", '"quoted"'])
def test_refuses_what_supervisord_would_misread(folder: DataFolder, value: str) -> None:
    with pytest.raises(StackError) as error:
        render_configuration(folder, [Group("services", (program({"SECRET": value}),))])
    assert value not in str(error.value)


def test_arguments_are_quoted(folder: DataFolder) -> None:
    options = read_by_supervisord(folder, [Group("services", (program(None, "a b", "100%"),))])
    [config] = options.process_group_configs[0].process_configs
    assert config.command == "/bin/true 'a b' 100%"


def test_groups_stop_in_the_reverse_of_their_order(folder: DataFolder) -> None:
    server = Program("nats", ("/bin/true",), is_ready=None)
    groups = [Group("servers", (server,)), Group("services", (program(),), starts_by_itself=False)]
    options = read_by_supervisord(folder, groups)
    by_priority = sorted(options.process_group_configs, key=lambda group: group.priority)
    assert [group.name for group in by_priority] == ["servers", "services"]
    assert [group.process_configs[0].autostart for group in by_priority] == [True, False]
