"""Custom Labels' six result files, under its names and in its formats.

They are JSON Lines where Custom Labels has JSON Lines, in spite of their names. Every line is written as soon as it is
made, so that many images need no more memory than one.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from sightsmith_training.engine.evaluation_result import Evaluation
from sightsmith_training.engine.reports.custom_labels import Json, TrainingData, encoded
from sightsmith_training.engine.reports.evaluation_lines import EvaluationLines
from sightsmith_training.engine.reports.evaluation_summary import evaluation_summary
from sightsmith_training.engine.reports.image_outcomes import Matches
from sightsmith_training.engine.reports.manifest_lines import ManifestLines
from sightsmith_training.engine.reports.manifest_summary import manifest_summary


def write_manifest_files(folder: Path, data: TrainingData) -> list[Path]:
    """Writes what is known before anything is learned, and so also where a training fails: three files.

    `ManifestSummary-…`, and `TrainingManifestWithValidation-…` and `TestingManifestWithValidation-…` with every image
    of the snapshot and what is wrong with it.

    Args:
        folder: an existing folder.
        data: what was to be learned from.

    Returns:
        The files.

    Raises:
        OSError: if they cannot be written.
    """
    lines = ManifestLines(data)
    return [
        _write(folder / data.file_name("ManifestSummary"), [manifest_summary(data)]),
        _write(folder / data.file_name("TrainingManifestWithValidation"), map(lines.line, data.of_split("train"))),
        _write(folder / data.file_name("TestingManifestWithValidation"), map(lines.line, data.of_split("test"))),
    ]


def write_evaluation_files(
    folder: Path, data: TrainingData, matches: Matches, evaluation: Evaluation, model: str, evaluated_at: datetime
) -> list[Path]:
    """Writes what a finished training tells: three files, all figures from one set of matches.

    `TrainingGroundTruth-…` with the images that were learned from, `TestingGroundTruth-…` with the judged images, and
    `EvaluationResultSummary-…`.

    Args:
        folder: an existing folder.
        data: what was learned from; it has an entry for every image of the matches.
        matches: of the judged images.
        evaluation: the figures of the same matches.
        model: resource name of the version.
        evaluated_at: when the evaluation ended.

    Returns:
        The files.

    Raises:
        OSError: if they cannot be written.
    """
    lines = ManifestLines(data)
    used = (entry for entry in data.of_split("train") if data.is_used(entry))
    summary = evaluation_summary(data, matches, evaluation, model, evaluated_at)
    return [
        _write(folder / data.file_name("TrainingGroundTruth"), map(lines.line, used)),
        _write(folder / data.file_name("TestingGroundTruth"), EvaluationLines(data, matches, evaluated_at)),
        _write(folder / data.file_name("EvaluationResultSummary"), [summary]),
    ]


def _write(path: Path, values: Iterable[Json]) -> Path:
    with path.open("wb") as file:
        file.writelines(map(encoded, values))
    return path
