"""Says at the end of a run how much was tried."""

from __future__ import annotations

from collections import Counter

import pytest

from rig.whole_store import built, copy

__all__ = ["built", "copy"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Add up what tests have recorded."""
    total: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", []):
        for name, number in report.user_properties:
            if isinstance(number, int):
                total[name] += number
    if total:
        counts = ", ".join(f"{number:,} {name}" for name, number in sorted(total.items()))
        lost = "lost: 0" if not terminalreporter.stats.get("failed") else "see what failed above"
        terminalreporter.write_line(f"crashes: {counts}; {lost}")
