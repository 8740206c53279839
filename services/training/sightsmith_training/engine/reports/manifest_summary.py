"""How many images of a snapshot were used, in the form of Custom Labels' manifest summary."""

from sightsmith_training.engine.reports.custom_labels import Json, TrainingData
from sightsmith_training.engine.specification import SpecEntry, Split


def manifest_summary(data: TrainingData) -> Json:
    """The summary: valid + invalid + ignored = total. Lines are counted from 1."""
    return {
        "statistics": {"training": _statistics(data, "train"), "testing": _statistics(data, "test")},
        "errors": _errors(data, None),
    }


def _statistics(data: TrainingData, split: Split) -> Json:
    entries = data.of_split(split)
    invalid = [number for number, entry in enumerate(entries, start=1) if _is_invalid(data, entry)]
    valid = sum(data.is_used(entry) for entry in entries)
    return {
        "use_case": data.use_case,
        "total_json_lines": len(entries),
        "valid_json_lines": valid,
        "invalid_json_lines": len(invalid),
        "ignored_json_lines": len(entries) - valid - len(invalid),
        "error_json_line_indices": invalid,
        "errors": _errors(data, split),
    }


def _is_invalid(data: TrainingData, entry: SpecEntry) -> bool:
    return any(problem.box is None and not problem.is_warning for problem in data.problems_of(entry))


def _errors(data: TrainingData, split: Split | None) -> list[Json]:
    return [problem.as_json() for of_split, problem in data.terminal if of_split == split]
