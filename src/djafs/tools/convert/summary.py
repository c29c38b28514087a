"""What a conversion did, or would do."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NamedTuple

MOST_PROBLEMS = 10_000
"""Problems kept by name; of more than that only the number is known."""


class Problem(NamedTuple):
    """Something that was not brought over."""

    path: str
    what: str


@dataclass
class Summary:
    """Counts of one conversion."""

    files: int = 0  # names of regular files that were looked at
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    attributes: int = 0  # changed in nothing but attributes
    gone: int = 0  # names removed from the store
    directories: int = 0
    symlinks: int = 0
    links: int = 0  # further names of files counted already
    special: int = 0  # devices, pipes, sockets
    excluded: int = 0
    contents: int = 0  # archived now
    duplicates: int = 0  # contents that the store had
    bytes_in: int = 0  # of the contents archived now
    bytes_read: int = 0
    bytes_out: int = 0  # of the archives made
    archives: int = 0
    protected: int = 0  # archives that got recovery data
    parity_bytes: int = 0  # of it
    log_bytes: int = 0
    estimate: int | None = None  # of a dry run: bytes that archives and log would take
    seconds: float = 0.0
    interrupted: bool = False
    full: bool = False
    problem_count: int = 0
    problems: list[Problem] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def fail(self, path: bytes, what: str) -> None:
        """Note that something was not brought over."""
        self.problem_count += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(path.decode("utf-8", "surrogateescape"), what))

    @property
    def ratio(self) -> float:
        """Bytes of content for each byte of archive."""
        return self.bytes_in / self.bytes_out if self.bytes_out else 0.0

    def finish(self) -> None:
        """Stop the clock."""
        self.seconds = time.monotonic() - self.began

    def as_json(self) -> dict[str, object]:
        """Return the fields for a script."""
        found = {name: value for name, value in vars(self).items() if name != "began"}
        found["ratio"] = round(self.ratio, 2)
        found["seconds"] = round(self.seconds, 3)
        found["problems"] = [problem._asdict() for problem in self.problems]
        return found
