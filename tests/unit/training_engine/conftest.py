"""The engine is a program; most tests run it as one."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from sightsmith_training.engine.contract import MESSAGE, Failure, Finished, Progress, TrainingResult
from sightsmith_training.engine.result_file import Outcome, read_result
from sightsmith_training.engine.specification import TrainingSpec

from .photos import Project, crops


@dataclass(frozen=True)
class Run:
    """What a run of the engine said."""

    status: int
    progress: list[Progress]
    outcome: TrainingResult | Failure
    errors: str

    @property
    def result(self) -> TrainingResult:
        assert isinstance(self.outcome, TrainingResult), self.outcome
        return self.outcome

    @property
    def failure(self) -> Failure:
        assert isinstance(self.outcome, Failure)
        return self.outcome


def start_engine(spec: TrainingSpec, folder: Path) -> subprocess.Popen[bytes]:
    """Starts the engine; its standard error, with a line for each module it imports, goes to `errors.log`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.json").write_text(spec.model_dump_json(warnings=False))
    with (folder / "errors.log").open("ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-X", "importtime", "-m", "sightsmith_training.engine", str(folder / "spec.json")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )


def run_engine(spec: TrainingSpec, folder: Path) -> Run:
    with start_engine(spec, folder) as process:
        assert process.stdout is not None
        messages = [MESSAGE.validate_json(line) for line in process.stdout]
        process.wait()  # Before its standard input is closed, which would end it.
    *progress, last = messages
    assert not isinstance(last, Progress)
    outcome = told(last) if isinstance(last, Finished) else last
    assert isinstance(outcome, TrainingResult | Failure)
    return Run(
        status=process.returncode,
        progress=[message for message in progress if isinstance(message, Progress)],
        outcome=outcome,
        errors=(folder / "errors.log").read_text(),
    )


def told(finished: Finished) -> Outcome:
    """What the file of an outcome says now: another run may write it anew."""
    outcome = read_result(finished.path)
    return outcome.model_copy(update={"predictions": list(outcome.predictions)})


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="session")
def trained_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="session")
def trained(trained_project: Project) -> Run:
    """One whole run, which several tests look at."""
    spec = trained_project.spec(crops(trained_project), threads=2)
    return run_engine(spec, trained_project.folder)
