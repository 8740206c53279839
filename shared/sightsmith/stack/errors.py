"""What can go wrong with the embedded stack, said in words that tell what to do."""

from pathlib import Path

_LAST_LINES = 20
_LAST_BYTES = 16 * 1024


class StackError(Exception):
    """The embedded stack cannot start, run or stop as asked."""

    @classmethod
    def of_process(cls, name: str, problem: str, log: Path) -> "StackError":
        """An error about one process, with the last lines that it logged."""
        return cls(f"{name} {problem}. The last lines of {log}:\n{last_lines(log)}")


def last_lines(log: Path) -> str:
    """The end of a log file, or a note that there is nothing in it."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LAST_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        text = ""
    return "\n".join(f"  {line}" for line in text.splitlines()[-_LAST_LINES:]) or "  (the log is empty)"
