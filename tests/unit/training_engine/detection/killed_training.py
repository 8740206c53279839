"""The program `… SPEC.json PHASE:COUNT…`: a whole training, ended by SIGKILL again and again.

Every attempt runs in a process of its own, which kills itself at the COUNTth message of PHASE; the last one is left
alone. For each it prints a line of JSON: at which step every training of the network went on, and what came of it.
Libraries are loaded once for all, because that takes longer than these trainings.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from sightsmith_training.engine import progress
from sightsmith_training.engine.contract import Progress
from sightsmith_training.engine.detection import ground, pace, search, trials
from sightsmith_training.engine.detection.tuning import Tuner
from sightsmith_training.engine.specification import TrainingSpec
from sightsmith_training.engine.training import train

pace.LEAST_STEPS = search.LEAST_STEPS = 10
trials._FEW_BOXES = 0
ground._STEPS_TOLD = 5
ground._SECONDS_BETWEEN_CHECKPOINTS = progress._SECONDS_BETWEEN_MESSAGES = 0


def attempt(spec: TrainingSpec, end: str) -> dict[str, Any]:
    told: list[str] = []
    went_on: list[int] = []
    load = Tuner.load

    def note_load(tuner: Tuner, file: Path) -> None:
        load(tuner, file)
        if tuner.steps_done:
            went_on.append(tuner.steps_done)

    def send(message: Progress) -> None:
        told.append(message.phase)
        if end == f"{message.phase}:{told.count(message.phase)}":
            tell({"went_on": went_on})
            os.kill(os.getpid(), signal.SIGKILL)

    Tuner.load = note_load  # type: ignore[method-assign]
    result = train(spec, send)
    return {"went_on": went_on, "artifacts": [file.model_dump() for file in result.artifacts]}


def tell(facts: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main(spec_file: str, *ends: str) -> None:
    spec = TrainingSpec.model_validate_json(Path(spec_file).read_bytes())
    for end in (*ends, ""):
        child = os.fork()
        if not child:
            tell(attempt(spec, end))
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == (-signal.SIGKILL if end else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
