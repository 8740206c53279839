"""What is written about a training that failed because of its data: Custom Labels' manifest files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sightsmith_training.engine.contract import Failure, FailureReason
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.reports.aws_files import write_manifest_files
from sightsmith_training.engine.reports.custom_labels import Problem, TrainingData, UseCase
from sightsmith_training.engine.reports.image_problems import image_problems
from sightsmith_training.engine.specification import SpecEntry, Split, TaskWish
from sightsmith_training.engine.tasks import TaskDecision, decide_task

# In Custom Labels' words. Everything else that can go wrong is none of the data's.
_CODES: Mapping[FailureReason, str] = {
    "NOT_ENOUGH_DATA": "ERROR_MANIFEST_TOO_FEW_USABLE_LABELS",
    "TOO_MANY_UNUSABLE_IMAGES": "ERROR_TOO_MANY_INVALID_ROWS_IN_MANIFEST",
}


@dataclass(frozen=True)
class FailedTraining:
    """A training that failed, and why.

    Attributes:
        project: id of the project.
        training_job: id of the job, which stands where Custom Labels has the version: there is none.
        entries: of the snapshot.
        wish: what was to be trained.
        failure: what came of it.
        object_store_url: where the images' bytes lie.
        read_time: when the labels were read.
    """

    project: str
    training_job: str
    entries: Sequence[SpecEntry]
    wish: TaskWish
    failure: Failure
    object_store_url: str
    read_time: datetime

    @property
    def is_of_data(self) -> bool:
        """Whether the images or their labels are at fault."""
        return self.failure.reason in _CODES

    @property
    def data(self) -> TrainingData:
        """What was to be learned from, as Custom Labels' files tell it; only for a failure of the data."""
        decision, problem = self._decision, Problem(_CODES[self.failure.reason], self.failure.message)
        problems = image_problems(self.entries, decision.task, self.failure.violations) if decision else {}
        return TrainingData(
            project=self.project,
            version=self.training_job,
            use_case=_use_case(decision),
            entries=self.entries,
            object_store_url=self.object_store_url,
            labelled_at=self.read_time,
            problems=problems,
            terminal=[(split, problem) for split in self._splits_at_fault(problems)],
        )

    @property
    def _decision(self) -> TaskDecision | None:
        try:
            return decide_task(self.entries, self.wish)
        except TrainingError:
            return None

    def _splits_at_fault(self, problems: Mapping[str, Sequence[Problem]]) -> list[Split]:
        """The splits of the invalid images; where none is invalid, too little is labelled for the training."""
        invalid = {image for image, found in problems.items() if any(not problem.is_warning for problem in found)}
        return sorted({entry.split for entry in self.entries if entry.image in invalid}) or ["train"]


def write_failure_report(folder: Path, training: FailedTraining) -> list[Path]:
    """Writes the manifest summary, and the manifests with what is wrong with every image.

    Args:
        folder: an existing folder.
        training: what they tell of; its data must be at fault.

    Returns:
        The files.

    Raises:
        OSError: if they cannot be written.
    """
    return write_manifest_files(folder, training.data)


def _use_case(decision: TaskDecision | None) -> UseCase:
    if decision is None:
        return "NOT_DETERMINED"
    return "OBJECT_LOCALIZATION" if decision.task == "detection" else "IMAGE_LEVEL_LABELS"
