"""Groups of commands whose `list` may go unnamed."""

from typing import Any

from typer.core import TyperGroup


class ListingGroup(TyperGroup):
    """Lists where a project stands alone: `models shop` is short for `models list shop`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Finds the command that the first argument names, or `list`."""
        is_alone = not args[1:] or args[1].startswith("-")
        if args and is_alone and args[0] not in self.commands:
            args = ["list", *args]
        return super().resolve_command(ctx, args)
