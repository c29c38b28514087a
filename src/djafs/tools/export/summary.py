"""What an export did."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from djafs.model import Inode
from djafs.tools.convert.summary import MOST_PROBLEMS, Problem


class InterruptedExportError(Exception):
    """The export was asked to stop."""


@dataclass
class ExportSummary:
    """Counts of one export."""

    files: int = 0
    directories: int = 0
    links: int = 0
    others: int = 0  # symbolic links, devices, pipes, sockets
    bytes_out: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    problem_count: int = 0
    problems: list[Problem] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def count(self, inode: Inode, *, link: bool) -> None:
        """Count what was written."""
        if link:
            self.links += 1
        elif inode.is_directory:
            self.directories += 1
        elif inode.is_regular:
            self.files += 1
            self.bytes_out += inode.size
        else:
            self.others += 1

    def fail(self, path: bytes, what: str) -> None:
        """Note that something was not written."""
        self.problem_count += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(path.decode("utf-8", "surrogateescape"), what))

    def finish(self) -> None:
        """Stop the clock."""
        self.seconds = time.monotonic() - self.began

    def as_json(self) -> dict[str, object]:
        """Return the fields for a script."""
        found = {name: value for name, value in vars(self).items() if name != "began"}
        found["seconds"] = round(self.seconds, 3)
        found["problems"] = [problem._asdict() for problem in self.problems]
        return found


Tick = Callable[[ExportSummary], bool]
"""Called now and then; returns whether to stop."""


def stopping(summary: ExportSummary, tick: Tick) -> None:
    """Raise InterruptedExportError if the export is to stop."""
    if tick(summary):
        raise InterruptedExportError
