"""The program: `python -m sightsmith_training.engine [SPEC.json]`.

Without an argument it loads its libraries, which takes seconds, and waits for the path of a specification as a line on
standard input: a worker keeps one waiting, so that a training begins at once.

Exit status 0 with a result, 1 with a failure, 2 if it was called wrongly.
"""

import importlib
import os
import select
import stat
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

from pydantic import ValidationError

from sightsmith_training.engine.contract import Failure, Progress, TrainingResult, TrainingSpec, Violation

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_PARENT_GONE = 3


def main(arguments: list[str]) -> int:
    """Reads the specification, trains, and writes messages to what was standard output."""
    if len(arguments) > 1:
        print("usage: python -m sightsmith_training.engine [SPEC.json]", file=sys.stderr)  # noqa: T201
        return 2
    with _take_stdout() as output:
        spec_file = Path(arguments[0]) if arguments else _wait_for_work()
        _end_with_parent()
        outcome = _run(spec_file, output)
        _send(output, outcome)
    return 0 if isinstance(outcome, TrainingResult) else 1


def _take_stdout() -> TextIO:
    """Keeps standard output for messages; whatever libraries print, in any language, goes to standard error."""
    messages = os.fdopen(os.dup(_STDOUT), "w", encoding="utf-8")
    os.dup2(_STDERR, _STDOUT)
    return messages


def _wait_for_work() -> Path:
    """The specification that comes by standard input; nothing is loaded beforehand if it is there already."""
    if not select.select([_STDIN], [], [], 0)[0]:
        _load_libraries()
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = os.read(_STDIN, 1)
        if not piece:
            os._exit(_PARENT_GONE)
        line += piece
    return Path(os.fsdecode(bytes(line[:-1])))


def _load_libraries() -> None:
    importlib.import_module("sightsmith_training.engine.training")


def _end_with_parent() -> None:
    """Ends this process when a parent that holds the other end of standard input is gone."""
    mode = os.fstat(_STDIN).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        threading.Thread(target=_wait_for_end_of_input, daemon=True).start()


def _wait_for_end_of_input() -> None:
    while os.read(_STDIN, 4096):
        pass
    os._exit(_PARENT_GONE)


def _run(spec_file: Path, output: TextIO) -> TrainingResult | Failure:
    try:
        spec = TrainingSpec.model_validate_json(spec_file.read_bytes())
    except (OSError, ValidationError) as error:
        return _invalid_spec(spec_file, error)
    started = time.monotonic()
    _send(output, Progress(phase="reading", percent=0))
    # Loading torch takes seconds: the first message should not wait for it, and a wrong specification need not.
    from sightsmith_training.engine.errors import TrainingError
    from sightsmith_training.engine.faults import failure_of
    from sightsmith_training.engine.training import train

    loading = round(time.monotonic() - started, 3)
    try:
        result = train(spec, lambda progress: _send(output, progress))
    except TrainingError as error:
        return error.failure
    except Exception as error:
        sys.excepthook(*sys.exc_info())
        return failure_of(error)
    return result.model_copy(update={"phase_seconds": {"starting": loading, **result.phase_seconds}})


def _invalid_spec(spec_file: Path, error: OSError | ValidationError) -> Failure:
    if isinstance(error, OSError):
        return Failure(reason="TRAINING_FAILED", message=f"{spec_file.name} cannot be read: {error.strerror}")
    violations = [
        Violation(field=".".join(map(str, problem["loc"])), description=problem["msg"])
        for problem in error.errors(include_url=False, include_input=False)
    ]
    return Failure(
        reason="TRAINING_FAILED", message=f"{spec_file.name} is not a training specification", violations=violations
    )


def _send(output: TextIO, message: Progress | TrainingResult | Failure) -> None:
    output.write(message.model_dump_json() + "\n")
    output.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
