"""What became of the lines of an import, counted."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from sightsmith_labeling.imports.writing import Outcome


@dataclass
class ImportCounts:
    """What became of the lines of an import.

    Attributes:
        read: the sum of the next four.
        problems: images that were imported without some of their annotations.
    """

    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    problems: int = 0

    @classmethod
    def stored(cls, values: Mapping[str, Any]) -> Self:
        """The counts of a checkpoint or result; zero where it has none."""
        return cls(**{field.name: int(values.get(field.name, 0)) for field in fields(cls)})

    def add(self, outcome: Outcome) -> None:
        """Counts a line that was not refused when it was read."""
        self.read += 1
        match outcome:
            case Outcome.CREATED:
                self.created += 1
            case Outcome.UPDATED:
                self.updated += 1
            case Outcome.UNCHANGED:
                self.unchanged += 1
            case _:
                self.rejected += 1

    def reject(self, lines: int) -> None:
        """Counts lines that were refused when they were read."""
        self.read += lines
        self.rejected += lines

    @property
    def rejected_fraction(self) -> float:
        """Share of the lines that were refused; 0 if there are none."""
        return self.rejected / self.read if self.read else 0.0

    def fields(self) -> dict[str, int]:
        """As JSON values."""
        return asdict(self)
