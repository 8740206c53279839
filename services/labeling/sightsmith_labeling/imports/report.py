"""The report of an import as one file."""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict

from sightsmith.paging import MAX_PAGE_SIZE, PageRequest
from sightsmith_labeling.imports.request import IMPORT_JOBS
from sightsmith_labeling.jobs.finding import Finding
from sightsmith_labeling.jobs.jobs import Jobs


async def report_chunks(jobs: Jobs, name: str) -> AsyncIterator[bytes]:
    """Everything that an import found, as JSON Lines.

    Raises:
        InvalidArgumentError: if `name` is not the name of an import.
        NotFoundError: if there is none of that name.
    """
    await jobs.get(IMPORT_JOBS, name)
    token = ""
    while True:
        found, token = await jobs.findings(name, PageRequest.parse(MAX_PAGE_SIZE, token), kind=IMPORT_JOBS)
        if found:
            yield "".join(map(_line, found)).encode()
        if not token:
            return


def _line(finding: Finding) -> str:
    values = {name: value for name, value in asdict(finding).items() if value not in ("", 0, {})}
    return f"{json.dumps(values, ensure_ascii=False)}\n"
