"""Damage to content: which files it affects is known only after all references are read."""

from __future__ import annotations

from dataclasses import dataclass, field

from djafs.tools.validation.findings import MOST_DETAILS, Finding, Kind
from djafs.tools.validation.workspace import Affected


@dataclass
class Suspect:
    """Something that will be a finding, if it is still needed when all references are known."""

    kind: Kind
    where: str
    affected: Affected
    archive: int = 0  # of an archive or its metadata
    segment: int = 0  # of hot content
    lost: bool = False  # an earlier repair could not bring it back
    noun: str = ""  # what is counted, in the plural
    count: int = 0
    details: list[str] = field(default_factory=list)
    needed: bool = False  # something refers to it

    def add(self, detail: str) -> None:
        """Count a problem; the first few are kept."""
        self.count += 1
        if len(self.details) < MOST_DETAILS:
            self.details.append(detail)

    def finding(self) -> Finding:
        """Return it as a finding."""
        if self.count == 1 and self.details:
            return Finding(self.kind, self.where, self.details[0], self.affected)
        what = f"{self.count:,} {self.noun}"
        return Finding(self.kind, self.where, what, self.affected, self.details)
