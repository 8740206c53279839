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
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from pydantic import ValidationError

from sightsmith_training.engine.contract import Failure, Finished, Message, Progress, Violation
from sightsmith_training.engine.result_file import Outcome, write_result
from sightsmith_training.engine.specification import SPEC, AnsweringSpec, EngineSpec

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_PARENT_GONE = 3


def main(arguments: list[str]) -> int:
    """Reads the specification, does what it says, and writes messages to what was standard output."""
    if len(arguments) > 1:
        print("usage: python -m sightsmith_training.engine [SPEC.json]", file=sys.stderr)  # noqa: T201
        return 2
    with _take_stdout() as output:
        spec_file = Path(arguments[0]) if arguments else _wait_for_work()
        _end_with_parent()
        outcome = _run(spec_file, output)
        _send(output, outcome)
    return 1 if isinstance(outcome, Failure) else 0


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


def _run(spec_file: Path, output: TextIO) -> Finished | Failure:
    try:
        spec = SPEC.validate_json(spec_file.read_bytes())
    except (OSError, ValidationError) as error:
        return _invalid_spec(spec_file, error)
    try:
        return Finished(path=write_result(spec.output_dir, _work_on(spec, lambda progress: _send(output, progress))))
    except Exception as error:
        # Not with the module: what it takes to tell faults apart is loaded by the work anyway.
        from sightsmith_training.engine.errors import TrainingError
        from sightsmith_training.engine.faults import failure_of

        if isinstance(error, TrainingError):
            return error.failure
        sys.excepthook(*sys.exc_info())
        return failure_of(error)


def _work_on(spec: EngineSpec, send: Callable[[Progress], None]) -> Outcome:
    if isinstance(spec, AnsweringSpec):
        from sightsmith_training.engine.answering import answer

        return answer(spec, send)
    started = time.monotonic()
    send(Progress(phase="reading", percent=0))
    # Loading torch takes seconds: the first message should not wait for it, and a wrong specification need not.
    from sightsmith_training.engine.training import train

    loading = round(time.monotonic() - started, 3)
    result = train(spec, send)
    return result.model_copy(update={"phase_seconds": {"starting": loading, **result.phase_seconds}})


def _invalid_spec(spec_file: Path, error: OSError | ValidationError) -> Failure:
    if isinstance(error, OSError):
        return Failure(reason="TRAINING_FAILED", message=f"{spec_file.name} cannot be read: {error.strerror}")
    violations = [
        Violation(field=".".join(map(str, problem["loc"][1:])), description=problem["msg"])  # The first is its kind.
        for problem in error.errors(include_url=False, include_input=False)
    ]
    return Failure(reason="TRAINING_FAILED", message=f"{spec_file.name} is not a specification", violations=violations)


def _send(output: TextIO, message: Message) -> None:
    output.write(message.model_dump_json() + "\n")
    output.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
