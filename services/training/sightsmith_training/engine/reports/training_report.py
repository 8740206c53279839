"""What is written about a finished training: Custom Labels' six files, and a page for people."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from sightsmith.names import ModelName
from sightsmith_training.engine.contract import Candidate, TrainingResult
from sightsmith_training.engine.reports.aws_files import write_evaluation_files, write_manifest_files
from sightsmith_training.engine.reports.custom_labels import TrainingData
from sightsmith_training.engine.reports.gallery import Thumbnail, gallery_order
from sightsmith_training.engine.reports.html_report import write_html_report
from sightsmith_training.engine.reports.image_outcomes import Matches
from sightsmith_training.engine.reports.image_problems import image_problems
from sightsmith_training.engine.reports.pictures import TriedCandidate
from sightsmith_training.engine.reports.report import Report
from sightsmith_training.engine.specification import SpecEntry, Task

PAGE = "report.html"
_SCORES: dict[Task, str] = {
    "classification": "cross-validated macro-F1",
    "multi_label_classification": "cross-validated macro-F1",
    "detection": "mAP50-95 on held-out images",
}
_LEARNING_SCORES = _SCORES | {"detection": "mAP50 on held-out images"}


@dataclass(frozen=True)
class FinishedTraining:
    """A training and what came of it.

    Attributes:
        model: the version that it made.
        snapshot: resource name of what it learned from.
        entries: of the snapshot.
        result: what came of it.
        matches: of the judged images, from which the evaluation in `result` was computed.
        object_store_url: where the images' bytes lie.
        start_time: when the labels were read.
        end_time: when the model was judged.
    """

    model: ModelName
    snapshot: str
    entries: Sequence[SpecEntry]
    result: TrainingResult
    matches: Matches
    object_store_url: str
    start_time: datetime
    end_time: datetime

    def shown(self, most: int) -> list[SpecEntry]:
        """The judged images that the page shows: at most so many, mistakes first."""
        by_name = {entry.image: entry for entry in self.entries}
        return [by_name[self.matches.images[position].image] for position in gallery_order(self.matches)[:most]]

    @cached_property
    def data(self) -> TrainingData:
        """What it learned from, as Custom Labels' files tell it."""
        detects = self.result.task == "detection"
        return TrainingData(
            project=self.model.project,
            version=self.model.model,
            use_case="OBJECT_LOCALIZATION" if detects else "IMAGE_LEVEL_LABELS",
            entries=self.entries,
            object_store_url=self.object_store_url,
            labelled_at=self.start_time,
            problems=image_problems(self.entries, self.result.task, self.result.unusable_images),
        )

    @cached_property
    def page(self) -> Report:
        """What the page for people tells."""
        result = self.result
        return Report(
            title=f"{self.model.project}, version {self.model.model}",
            task_reason=result.task_reason,
            evaluated_at=self.end_time,
            entries=self.entries,
            matches=self.matches,
            evaluation=result.evaluation,
            candidates=[_tried(candidate, candidate == result.chosen) for candidate in result.candidates],
            candidate_score=_SCORES[result.task],
            learning_score=_LEARNING_SCORES[result.task],
            facts=list(self._facts()),
        )

    def _facts(self) -> Iterator[tuple[str, str]]:
        result = self.result
        yield "model", str(self.model)
        yield "snapshot", self.snapshot
        yield "training images", str(result.training_images)
        yield "test images", str(result.test_images)
        yield "images of no use", str(result.ignored_images)
        if result.left_out_labels:
            yield "labels left out, with too few images", ", ".join(result.left_out_labels)
        yield "images that could not be used", str(len(result.unusable_images))
        yield "seed", str(result.seed)
        yield "libraries", ", ".join(f"{name} {version}" for name, version in sorted(result.library_versions.items()))


def result_file_writers(folder: Path, training: FinishedTraining) -> Mapping[str, Callable[[], list[Path]]]:
    """What writes Custom Labels' six files, all from the same matches, in two parts by what they are called.

    One part does not need the other. Each returns its files, and raises OSError if they cannot be written.

    Args:
        folder: an existing folder.
        training: what they tell of.
    """
    matches, result, model = training.matches, training.result, str(training.model)
    return {
        "manifest files": lambda: write_manifest_files(folder, training.data),
        "evaluation files": lambda: write_evaluation_files(
            folder, training.data, matches, result.evaluation, model, training.end_time
        ),
    }


def write_page(folder: Path, training: FinishedTraining, thumbnail: Thumbnail, most_thumbnails: int) -> Path:
    """Writes the page for people, from the same matches as the other files.

    Args:
        folder: an existing folder.
        training: what it tells of.
        thumbnail: makes a small JPEG of an image that `training.shown(most_thumbnails)` lists.
        most_thumbnails: how many judged images it shows; those with mistakes come first.

    Returns:
        The file.

    Raises:
        OSError: if it cannot be written.
    """
    page = folder / PAGE
    write_html_report(page, training.page, thumbnail, most_thumbnails)
    return page


def _tried(candidate: Candidate, is_chosen: bool) -> TriedCandidate:
    return TriedCandidate(
        name=candidate.name or " + ".join(candidate.backbones),
        score=candidate.score_mean,
        milliseconds=candidate.milliseconds_per_image or None,
        is_chosen=is_chosen,
        dropped=candidate.dropped,
    )
