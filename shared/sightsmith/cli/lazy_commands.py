"""Commands that are imported when they are called: none waits for what only the others need."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from typer import Typer
from typer.core import TyperCommand
from typer.main import get_command, get_group


@dataclass(frozen=True)
class Lazy:
    """A command, or a group of commands, that is not imported yet.

    Attributes:
        place: `module:attribute` in this package; a function, or a `Typer` app.
        help: what lists of commands say of it: the first paragraph of its own help.
    """

    place: str
    help: str

    def load(self, name: str) -> Any:
        """Imports it, as a command of that name."""
        module, _, attribute = self.place.partition(":")
        found = getattr(import_module(f"{__package__}.{module}"), attribute)
        if isinstance(found, Typer):
            return get_group(found)
        app = Typer(add_completion=False)
        app.command(name)(found)
        return get_command(app)


def add_commands(app: Typer, commands: Mapping[str, Lazy]) -> None:
    """Adds commands to an app by their names."""
    for name, lazy in commands.items():
        app.command(name, help=lazy.help, cls=_class_of(lazy, name))(_nothing)


def _class_of(lazy: Lazy, name: str) -> type[TyperCommand]:
    class _Stub(TyperCommand):
        """Stands for the command in lists, and gives way to it when it is called."""

        def make_context(self, *args: Any, **kwargs: Any) -> Any:
            return lazy.load(name).make_context(*args, **kwargs)

    return _Stub


def _nothing() -> None:
    """What a stub would do if it were called itself."""
