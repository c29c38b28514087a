"""Recovery data of archives: whole, true of its archive, and there where the store has parity."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator

from djafs.disk import parity
from djafs.disk.layout import Layout, numbers
from djafs.tools.validation.damage import Suspect
from djafs.tools.validation.findings import MOST_DETAILS, Finding, Kind
from djafs.tools.validation.workspace import Workspace

YOUNG = 3600.0
"""Seconds in which a running daemon makes the recovery data of a new archive."""


class ParityCheck:
    """Reads all recovery data once."""

    def __init__(self, layout: Layout, archives: Iterable[int], workspace: Workspace) -> None:
        """``archives`` are those that the log knows."""
        self._layout = layout
        self._archives = set(archives)
        self._workspace = workspace
        present = set(numbers(layout.archives, "tar.zst.par2"))
        self.present = sorted(present & self._archives)
        self.lacking: list[int] = []
        self.bytes = 0

    def run(self, damaged: set[int]) -> Iterator[Suspect]:
        """Yield what is wrong; ``damaged`` archives are not compared with what is said of them."""
        for number in self.present:
            path = self._layout.archive_parity(number)
            where = os.path.relpath(path, self._layout.root)
            try:
                problems = parity.check(self._layout, number, whole=number not in damaged)
                self.bytes += os.path.getsize(path)
            except FileNotFoundError:  # compacted meanwhile, with its archive
                continue
            except OSError as error:
                problems = [f"it cannot be read: {error.strerror}"]
            if problems:
                affected = self._workspace.affected()
                suspect = Suspect(Kind.PARITY, where, affected, archive=number, noun="problems")
                for problem in problems:
                    suspect.add(problem)
                yield suspect

    def find_lacking(self, *, mounted: bool) -> None:
        """Find the archives that have none, but for those to which a daemon is about to give it."""
        for number in sorted(self._archives.difference(self.present)):
            with contextlib.suppress(FileNotFoundError):  # which is said of the archive
                age = time.time() - os.stat(self._layout.archive(number)).st_mtime
                if not mounted or age > YOUNG:
                    self.lacking.append(number)

    def missing(self) -> Iterator[Finding]:
        """Yield what is to be said of archives that have none."""
        names = [os.path.basename(self._layout.archive(number)) for number in self.lacking]
        if len(names) == 1:
            where = os.path.join("archives", names[0])
            yield Finding(Kind.PARITY_MISSING, where, "it has no recovery data")
        elif names:
            what = f"{len(names):,} archives have no recovery data"
            yield Finding(Kind.PARITY_MISSING, "archives", what, (), names[:MOST_DETAILS])
