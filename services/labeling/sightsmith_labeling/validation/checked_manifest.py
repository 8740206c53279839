"""The lines of a training and a testing manifest: checked, counted, and written down with what is wrong with them."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.manifest_check import CheckedLine, Outcome
from sightsmith_labeling.formats.manifest_codes import CODES, Cost
from sightsmith_labeling.formats.manifest_rules import ManifestRules
from sightsmith_labeling.formats.manifest_summary import ManifestSummary
from sightsmith_labeling.images import Problem
from sightsmith_labeling.jobs.finding import Finding, Severity
from sightsmith_labeling.validation.request import ValidationFile

_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
FILE_OF = {Split.TRAIN: ValidationFile.TRAINING_MANIFEST, Split.TEST: ValidationFile.TESTING_MANIFEST}


class CheckedManifests:
    """Takes the lines one after the other and writes the manifests with validation into a folder."""

    def __init__(self, rules: ManifestRules, splits: Sequence[Split], folder: Path) -> None:
        self._summary = ManifestSummary(rules, has_testing=Split.TEST in splits)
        self._files = {split: (folder / FILE_OF[split]).open("wb") for split in splits}
        self._lines = dict.fromkeys(splits, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()

    def add(
        self,
        split: Split,
        checked: CheckedLine,
        image: str = "",
        problems: Sequence[Problem] = (),
        outcome: Outcome | None = None,
        is_lost: bool = False,
    ) -> Iterator[Finding]:
        """Takes a line.

        Args:
            split: the manifest that it is in.
            checked: the line.
            image: name of the image that it was written for; empty if it comes from a manifest.
            problems: what is known to be wrong beyond what can be seen in the line.
            outcome: what becomes of it, if more is known than can be seen in the line.
            is_lost: whether the image's bytes could not be had.

        Yields:
            What is wrong with it.
        """
        self._lines[split] += 1
        self._summary.add(split, checked, outcome, is_lost)
        self._files[split].write(_written(checked, bool(image), problems).encode(errors="replace") + b"\n")
        file, line = FILE_OF[split].value, self._lines[split]
        for fault in checked.faults:
            severity = Severity.WARNING if fault.code.is_warning else Severity.ERROR
            yield Finding(severity, fault.code.name, fault.message, file, line, image, fault.path)
        for problem in problems:
            severity = Severity.WARNING if problem.code.startswith("WARNING") else Severity.ERROR
            yield Finding(severity, problem.code, problem.message, file, line, image, problem.path)

    def findings(self) -> Iterator[Finding]:
        """What is wrong with the manifests as a whole, once every line was taken."""
        for found in self._summary.findings():
            severity = Severity.TERMINAL if found.is_terminal else Severity.WARNING
            file = FILE_OF[found.split].value if found.split is not None else ""
            yield Finding(severity, found.code, found.message, file=file)

    def summary(self) -> dict[str, Any]:
        """The summary in the form of Custom Labels."""
        return self._summary.as_json()


def _written(checked: CheckedLine, is_our_own: bool, problems: Sequence[Problem]) -> str:
    """The line with what is wrong with it. One of our own with which nothing is wrong is as it should be already."""
    if is_our_own and not checked.faults and not problems:
        return checked.text
    return _JSON.encode(checked.annotated({problem.code: problem.message for problem in problems}))


def spoils_line(problem: Problem) -> bool:
    """Whether a line with this problem cannot be used as a whole."""
    code = CODES.get(problem.code)
    return code is not None and code.cost in (Cost.LINE, Cost.REJECTED)
