"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass, field

from stress.records import Record

__all__ = ["MOMENT", "SECOND", "Findings", "Violation"]

SECOND = 1_000_000_000
# So long may a process have waited for its CPU between two lines of Python.
MOMENT = SECOND // 20


@dataclass(slots=True)
class Violation:
    """What is not as promised, and the records that show it."""

    text: str
    records: list[Record]


@dataclass(slots=True)
class Findings:
    """How many facts were looked at, and which of them are not as promised."""

    checked: int = 0
    violations: list[Violation] = field(default_factory=list)

    def fact(self, holds: bool, text: str, *records: Record | None) -> None:
        """Count a fact; unless it holds, it is a violation, shown by these records."""
        self.checked += 1
        if not holds:
            self.violations.append(Violation(text, [record for record in records if record is not None]))
