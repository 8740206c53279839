"""What a job has to tell of one line, image or annotation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How bad a finding is; `JobFinding.Severity` in the protos tells what each means."""

    WARNING = "WARNING"
    ERROR = "ERROR"
    TERMINAL = "TERMINAL"


@dataclass(frozen=True)
class Finding:
    """Why something was refused, or what is odd about it.

    Attributes:
        code: stable, as in `ERROR_INVALID_JSON_LINE`.
        message: for people.
        file: the file inside an import that it is about; empty if it is about none.
        line: counted from 1; 0 if it is about none.
        resource: name of what it is about, as of an image; empty if it is about none.
        path: what it is about inside the line or resource, as in `bb.annotations[2]`.
        details: what belongs to it, as JSON values.
    """

    severity: Severity
    code: str
    message: str
    file: str = ""
    line: int = 0
    resource: str = ""
    path: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
