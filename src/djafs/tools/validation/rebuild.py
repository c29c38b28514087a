"""An index that follows the lookup log, by the code with which recovery makes one."""

from __future__ import annotations

from djafs.disk import sqlite
from djafs.disk.index import Index
from djafs.disk.index_writer import IndexWriter
from djafs.disk.lookup_reader import Line
from djafs.model import Calendar
from djafs.store.changes import Changes
from djafs.store.plausible import MISFITS, Plausible
from djafs.store.syncer import BATCH
from djafs.store.tree import Tree
from djafs.tools.validation.findings import MOST_DETAILS
from djafs.tools.validation.log_lines import Gap


class Rebuild:
    """Applies records to an index of the workspace, batch by batch.

    A record that does not fit what is before it is counted in :attr:`misfits` and left out.
    """

    def __init__(self, index: Index, calendar: Calendar) -> None:
        """Follow on from where ``index`` is."""
        self.index = index
        self.position = index.position()
        self.misfits = 0
        self.details: list[str] = []
        self._tree = Tree(index, calendar)
        self._check = Plausible(self._tree).check
        self._changes = Changes(self._tree)
        self._writer = IndexWriter(index, calendar)

    @property
    def next_archive(self) -> int:
        """The number that the next archive will get."""
        return self._tree.next_archive

    def apply(self, line: Line) -> None:
        """Apply the next line of the log."""
        try:
            self._check(line.record)
            self._changes.apply(line.record)
        except MISFITS as error:
            self._misfit(f"record {line.record.seq} ({type(line.record).__name__}): {error!r}")
        self.position = line.position
        if len(self._tree.batch) >= BATCH or self._tree.batch.sealed:
            self.settle()

    def passes(self, gap: Gap) -> bool:
        """Say whether to follow on behind lines that are missing: a check does, where none are."""
        return gap.after is not None and gap.after.seq == self.position.seq

    def settle(self) -> None:
        """Bring into the index what has been applied."""
        batch = self._tree.freeze(self.position)
        try:
            self._writer.apply(batch)
        except (ValueError, TypeError, OverflowError, sqlite.ConstraintError) as error:
            self._misfit(f"a record up to {self.position.seq}: {error!r}")
        self._tree.thaw()

    def _misfit(self, detail: str) -> None:
        self.misfits += 1
        if len(self.details) < MOST_DETAILS:
            self.details.append(detail)
