"""Files of the report that comes out of a training."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict


class StoredReportFile(BaseModel):
    """A file of a report in the object store.

    Attributes:
        path: its name, such as `report.html`.
        key: in the object store.
        sha256: hexadecimal digest of its bytes.
        size_bytes: its size.
        output_url: where it was also written for the user; empty if it was not.
        output_prefix: where the user wants it; empty for nowhere.
        is_due: whether it is yet to be written there.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    key: str
    sha256: str
    size_bytes: int
    output_url: str = ""
    output_prefix: str = ""
    is_due: bool = False

    @property
    def media_type(self) -> str:
        """What it is, as in a `Content-Type` header."""
        if self.path.endswith(".html"):
            return "text/html; charset=utf-8"
        # Custom Labels calls its JSON Lines `.json`, too.
        return "application/json" if "Summary" in self.path else "application/x-ndjson"


@dataclass(frozen=True)
class StoredReport:
    """The files of a report, and what is missing and why."""

    files: Sequence[StoredReportFile] = ()
    problems: Sequence[str] = ()
