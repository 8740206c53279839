"""Copies of result files where users want them."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from sightsmith.logs import get_logger
from sightsmith.objects import Objects
from sightsmith.output_places import OutputPlaces, store_at, url_of
from sightsmith.places import Place
from sightsmith_training.report_files import StoredReport

NOT_WRITTEN = "not all result files could be written to"
"""So begins what a report then lacks."""

_LONGEST_REASON = 300
_log = get_logger(__name__)


class ReportOutputs:
    """Writes Custom Labels' files, and not the page: its name is the same for every version."""

    def __init__(self, places: OutputPlaces, timeout_seconds: float) -> None:
        """Prepares it.

        Args:
            places: where users may have files written.
            timeout_seconds: how long the writing of a report may take.
        """
        self._places = places
        self._timeout_seconds = timeout_seconds

    async def write(self, report: StoredReport, paths: Sequence[Path], project: str, prefix: str) -> StoredReport:
        """Writes the result files of a report; what is there under the same names is replaced.

        Args:
            report: whose files they are.
            paths: the files.
            project: id of the project that was trained for.
            prefix: where the user wants them, as `OutputPlaces.find` reads it; empty for nowhere.

        Returns:
            The same report, which tells where its files were written, or why not all of them: whatever is wrong with a
            user's place must not harm the training.
        """
        written: dict[str, str] = {}
        problems: list[str] = []
        if prefix and paths:
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    # Asked again: a folder may have become a link since, and the setting another one.
                    place = await asyncio.to_thread(self._places.find, project, prefix)
                    await _write(place, [path for path in paths if _is_copied(path.name)], written)
            except Exception as error:
                _log.warning("result files are not where they are wanted", output_prefix=prefix, exc_info=True)
                reason = self._places.as_users_say(project, self._reason(error))
                problems.append(f"{NOT_WRITTEN} {prefix}: {reason[:_LONGEST_REASON]}")
        files = [file.model_copy(update={"output_url": written.get(file.path, "")}) for file in report.files]
        return StoredReport(files, (*report.problems, *problems))

    @staticmethod
    def due(report: StoredReport, prefix: str) -> StoredReport:
        """The same report, whose result files are to be written later, when everybody can see what they tell of."""
        wanted = {"output_prefix": prefix, "is_due": True}
        files = [file.model_copy(update=wanted) if prefix and _is_copied(file.path) else file for file in report.files]
        return StoredReport(files, report.problems)

    def _reason(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"it took more than {self._timeout_seconds:g} s"
        return str(error.__cause__ or error)


def _is_copied(name: str) -> bool:
    return name.endswith(".json")


async def _write(place: Place, paths: Sequence[Path], written: dict[str, str]) -> None:
    objects = Objects(await asyncio.to_thread(store_at, place))
    for path in paths:
        await objects.put_file(path.name, path)
        written[path.name] = url_of(place, path.name)
