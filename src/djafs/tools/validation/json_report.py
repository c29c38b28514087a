"""Findings as one JSON object, for a script."""

from __future__ import annotations

import json
import time
from collections import Counter
from itertools import islice
from typing import Any

from djafs.tools.validation.findings import Finding, Severity

MOST_AFFECTED = 10_000
"""Paths named of one finding; of more than that only the number is given."""


class JsonReport:
    """Collects findings, and what was checked."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._began = time.monotonic()
        self._counts: Counter[Severity] = Counter()
        self._findings: list[dict[str, Any]] = []
        self._checked: list[str] = []

    def tell(self, finding: Finding) -> None:
        """Add a finding."""
        self._counts[finding.severity] += 1
        affected = iter(finding.affected)
        paths = list(islice(affected, MOST_AFFECTED))
        self._findings.append(
            {
                "kind": finding.kind.value,
                "severity": finding.severity.value,
                "where": finding.where,
                "what": finding.what,
                "details": finding.details,
                "affected": paths,
                "affected_count": len(paths) + sum(1 for _ in affected),
                "next": finding.advice,
            }
        )

    def say(self, line: str) -> None:
        """Add a line about the check itself."""
        self._checked.append(line)

    @property
    def errors(self) -> int:
        """Errors so far."""
        return self._counts[Severity.ERROR]

    def text(self) -> str:
        """Return all of it."""
        return json.dumps(
            {
                "store": self._store,
                "errors": self.errors,
                "warnings": self._counts[Severity.WARNING],
                "notes": self._counts[Severity.NOTE],
                "findings": self._findings,
                "checked": self._checked,
                "seconds": round(time.monotonic() - self._began, 3),
            }
        )
