"""Findings as lines of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from djafs.printable import printable
from djafs.tools.validation.findings import Finding, Severity


class TextReport:
    """Writes each finding as it comes, and counts them."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._counts: Counter[Severity] = Counter()

    def tell(self, finding: Finding) -> None:
        """Write a finding: what is wrong, the paths affected, what to do next."""
        self._counts[finding.severity] += 1
        place = f"{finding.where}: " if finding.where else ""
        self._line(f"{finding.severity.value}: {place}{finding.what}")
        for detail in finding.details:
            self._line(f"    {detail}")
        for path in finding.affected:
            self._line(f"    affects {path}")
        self._line(f"    next: {finding.advice}")

    def say(self, line: str) -> None:
        """Write a line about the check itself."""
        self._line(line)

    @property
    def errors(self) -> int:
        """Errors so far."""
        return self._counts[Severity.ERROR]

    def summary(self) -> str:
        """Return the last line: how many errors, and how many warnings if there are any."""
        warnings = self._counts[Severity.WARNING]
        line = counted(self.errors, "error")
        return f"{line}, {counted(warnings, 'warning')}" if warnings else line

    def _line(self, line: str) -> None:
        self._write(printable(line))


def counted(number: int, noun: str) -> str:
    """Return ``1 error`` or ``2 errors``, with separators between thousands."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def sized(size: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
