"""What a validation has found so far."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sightsmith_labeling.jobs.finding import Finding, Severity
from sightsmith_labeling.jobs.running import RunningJob

_WORST_FIRST = (Severity.TERMINAL, Severity.ERROR, Severity.WARNING)
_HANDED_IN_AT_ONCE = 1000


class Report:
    """Counts findings and hands them to the job."""

    def __init__(self, job: RunningJob) -> None:
        self._job = job
        self._counts: Counter[tuple[Severity, str]] = Counter()

    async def tell(self, findings: Iterable[Finding]) -> None:
        """Records findings.

        Raises:
            JobCancelledError: if the job is to be cancelled.
            LeaseLostError: if the job is not this worker's any more.
        """
        waiting: list[Finding] = []
        for finding in findings:
            self._counts[finding.severity, finding.code] += 1
            waiting.append(finding)
            if len(waiting) == _HANDED_IN_AT_ONCE:
                await self._job.report(waiting)
                waiting = []
        if waiting:
            await self._job.report(waiting)

    @property
    def is_trainable(self) -> bool:
        """Whether a training would go ahead."""
        return all(severity is not Severity.TERMINAL for severity, _ in self._counts)

    def code_counts(self) -> Sequence[dict[str, Any]]:
        """How often each thing was found: `severity`, `code`, `count`, the worst and then the most frequent first."""
        ordered = sorted(
            self._counts.items(), key=lambda found: (_WORST_FIRST.index(found[0][0]), -found[1], found[0][1])
        )
        return [{"severity": severity.value, "code": code, "count": count} for (severity, code), count in ordered]
