"""What the benchmark is doing, for whoever waits for it: on standard error, because figures go to standard output."""

from rich.console import Console

PROGRESS = Console(stderr=True, highlight=False)


def tell(step: str) -> None:
    """Says what is done now."""
    PROGRESS.print(f"· {step}", soft_wrap=True, markup=False)
