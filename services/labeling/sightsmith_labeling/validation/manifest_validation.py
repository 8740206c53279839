"""Validating manifests that are not imported."""

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.manifest_check import CheckedLine, Outcome, check_line
from sightsmith_labeling.formats.manifest_codes import DUPLICATE_SOURCE_REF
from sightsmith_labeling.formats.manifest_lines import numbered_lines
from sightsmith_labeling.formats.manifest_rules import ManifestRules
from sightsmith_labeling.formats.records import Place
from sightsmith_labeling.images import Problem
from sightsmith_labeling.jobs.finding import Finding
from sightsmith_labeling.jobs.running import RunningJob
from sightsmith_labeling.validation.checked_manifest import CheckedManifests
from sightsmith_labeling.validation.report import Report

_LINES_AT_ONCE = 1000
_DIGEST_BYTES = 8
_IN_BOTH = "The image is in the training manifest too: a model would be judged by what it knows."


class ManifestValidation:
    """One validation of a training manifest and, if there is one, a testing manifest."""

    def __init__(self, rules: ManifestRules, paths: Mapping[Split, Path]) -> None:
        self._rules = rules
        self._paths = paths
        # Short digests of the sources: of a million sources two share one by chance with a probability below 1e-7.
        self._sources: dict[Split, set[bytes]] = {split: set() for split in Split}

    async def run(self, job: RunningJob, report: Report) -> dict[str, Any]:
        """Validates, and returns the result."""
        with CheckedManifests(self._rules, tuple(self._paths), job.folder) as manifests:
            for split in self._paths:
                findings = self._findings(manifests, split)
                done = 0
                while batch := await asyncio.to_thread(lambda lines: list(islice(lines, _LINES_AT_ONCE)), findings):
                    await report.tell(finding for found in batch for finding in found)
                    done += len(batch)
                    await job.advance(f"checking the {split.value} manifest", done)
            await report.tell(manifests.findings())
            return {"summary": manifests.summary(), "unmeasured_images": 0, "judged_images": 0}

    def _findings(self, manifests: CheckedManifests, split: Split) -> Iterator[list[Finding]]:
        """What is wrong with each line, line by line. Lines beyond the limit are counted and not looked at closely."""
        with self._paths[split].open("rb") as file:
            for number, line in numbered_lines(file, self._rules.limits):
                checked = check_line(line, self._rules, Place("", number))
                problem = self._met_before(split, checked)
                is_repeated = problem is not None and problem.code == DUPLICATE_SOURCE_REF.name
                outcome = Outcome.INVALID if is_repeated else None
                yield list(manifests.add(split, checked, problems=[problem] if problem else (), outcome=outcome))
                if number > self._rules.limits.lines:
                    return

    def _met_before(self, split: Split, checked: CheckedLine) -> Problem | None:
        """What is wrong if an earlier line is about the same image."""
        if checked.image is None:
            return None
        source = hashlib.blake2b(checked.image.source.encode(errors="replace"), digest_size=_DIGEST_BYTES).digest()
        if source in self._sources[split]:
            return Problem(DUPLICATE_SOURCE_REF.name, DUPLICATE_SOURCE_REF.message)
        self._sources[split].add(source)
        if split is Split.TEST and source in self._sources[Split.TRAIN]:
            return Problem("WARNING_DUPLICATE_ACROSS_SPLITS", _IN_BOTH)
        return None
