"""The lookup log as a whole: every line, the index that it makes, and that of the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone

import zstandard

from djafs.disk import states
from djafs.disk.index import Index
from djafs.disk.layout import Layout
from djafs.disk.lookup_line import Position
from djafs.disk.lookup_reader import Line
from djafs.errors import LookupLogDamageError
from djafs.model import Calendar
from djafs.store.checkpoints import load_newest
from djafs.store.recovery import find_end
from djafs.tools.validation.findings import (
    MOST_DETAILS,
    Finding,
    Kind,
    Meter,
    Tell,
    unmeasured,
)
from djafs.tools.validation.log_lines import Gap, LogLines
from djafs.tools.validation.paths import Paths
from djafs.tools.validation.rebuild import Rebuild
from djafs.tools.validation.workspace import Workspace

_PATIENCE = 2.0
"""Seconds in which a running daemon finishes a line that it has begun to write."""

_POLL = 0.05

METERED = 1024
"""Records between two looks at how far the check is."""

_INODES = f"SELECT {states.INODE} FROM inode i"

Follow = Callable[[Index, Calendar], Rebuild]
"""Makes what follows the log, from where an index is."""

Compare = Callable[[Index, Index], None]
"""Compares the store's index, the first, with the one that the log makes up to its position."""


@dataclass
class _Gaps:
    """What is wrong in one segment, and the recorded times between which it is."""

    damages: list[str] = field(default_factory=list)
    count: int = 0
    begin: int = 0
    end: int = 1 << 62


class LogCheck:
    """One pass over the log; afterwards :attr:`basis` is what everything else is checked against.

    ``stored`` is a copy of the store's index, None if there is none to be trusted. While lines
    are whole from the first on, the basis is made from the log alone. Where some are damaged,
    ``stored`` takes its place, if it knows what they said.
    """

    def __init__(
        self,
        layout: Layout,
        store: str,
        calendar: Calendar,
        workspace: Workspace,
        stored: Index | None,
        compare: Compare,
        tell: Tell,
        follow: Follow = Rebuild,
        meter: Meter = unmeasured,
    ) -> None:
        self._meter = meter
        self._layout, self._store, self._calendar = layout, store, calendar
        self._workspace = workspace
        self._stored = stored
        self._target = stored.position() if stored is not None else None
        self._last_known = self._target.seq if self._target else 0  # record of the log
        self._compare = compare
        self._tell = tell
        self._follow = follow
        self._end: Position | None = None  # of a log that nobody writes: where recovery ends it
        self._gaps: dict[str, _Gaps] = {}
        self._last_time = 0
        self._open_gap: _Gaps | None = None
        self._following = True  # the basis has all lines up to here
        self.compared = False
        index = workspace.new_index()
        self._begin, self._bad_checkpoints = load_newest(layout, store, index)
        self._lines = LogLines(layout, store, self._begin)
        self.basis = self._follow(index, calendar)

    @property
    def records(self) -> int:
        """Whole lines that were read."""
        return self._lines.lines

    @property
    def whole(self) -> bool:
        """Whether the log makes an index without anything that is in it being lost."""
        return not self._gaps and not self.basis.misfits

    def run(self) -> None:
        """Check the log, and tell what is wrong with it."""
        tail = self._find_end()
        for damage in self._bad_checkpoints:
            where, _, what = damage[len(self._layout.root) + 1 :].partition(" is damaged: ")
            self._tell(Finding(Kind.LOG_DAMAGED, where, what))
        self._reached(self._begin)
        for item in self._read():
            if isinstance(item, Gap):
                self._note_gap(item)
            elif self._end is not None and item.position.seq > self._end.seq:
                if not self._workspace.is_mounted:
                    break
                self._end, tail = None, None  # mounted meanwhile: it has become part of the log
                self._take(item)
            else:
                self._take(item)
        self.basis.settle()
        if tail is not None:
            self._tell(Finding(Kind.LOG_TAIL, "", tail))
        self._conclude()

    def advance(self) -> None:
        """Bring the basis up to what a daemon has logged meanwhile."""
        if not self._following or (self._end is not None and not self._workspace.is_mounted):
            return
        for item in self._read():
            if isinstance(item, Gap):
                self._following = False
                break
            self.basis.apply(item)
        self.basis.settle()

    def _find_end(self) -> str | None:
        """Note where recovery would end the log; return what it would cut off there."""
        if self._workspace.is_mounted:
            return None
        try:
            self._end, cut = find_end(self._layout, self._store)
        except (LookupLogDamageError, OSError, zstandard.ZstdError):
            return None  # every line is going to be looked at
        return None if cut is None else cut.replace(self._layout.root + "/", "")

    def _read(self) -> Iterable[Line | Gap]:
        """Yield lines and gaps; the end of a log that is being written is no gap."""
        began = time.monotonic()
        while True:
            torn = None
            for item in self._lines:
                if isinstance(item, Gap) and (item.after is None or self._is_tail()):
                    torn = item
                    break
                began = time.monotonic()
                yield item
            if torn is None or self._is_tail():
                return
            if not self._workspace.is_mounted or time.monotonic() - began > _PATIENCE:
                yield torn
                return
            time.sleep(_POLL)

    def _is_tail(self) -> bool:
        """Return whether recovery would cut the log off here."""
        if self._end is None or self._workspace.is_mounted:
            return False
        return self._lines.position.seq >= self._end.seq

    def _take(self, line: Line) -> None:
        if self._open_gap is not None:
            self._open_gap.end = max(line.record.t, self._last_time)
            self._open_gap = None
        self._last_time = line.record.t
        if line.record.seq % METERED == 0:
            self._meter("records of the lookup log", line.record.seq, self._last_known, False)
        if self._following:
            self.basis.apply(line)
        self._reached(line.position)

    def _reached(self, position: Position) -> None:
        """Compare the indexes at the position of the store's, or go on from that."""
        if self._stored is None or position != self._target:
            return
        self._target = None
        if self.whole:
            self.basis.settle()
            self._compare(self._stored, self.basis.index)
            self.compared = True
            return
        self._trust(self._stored)

    def _trust(self, stored: Index) -> None:
        """Go on from the store's index: it has what the log has lost."""
        self._conclude_misfits()
        self.basis = self._follow(stored, self._calendar)
        self._following = True

    def _note_gap(self, gap: Gap) -> None:
        target = self._target
        if target and gap.after and self.basis.position.seq < target.seq <= gap.after.seq:
            assert self._stored is not None
            self._target = None
            self._trust(self._stored)
        self._following = self.basis.passes(gap)
        path = gap.damage.path
        known = self._gaps.setdefault(path, _Gaps(begin=self._last_time))
        known.count += 1
        if len(known.damages) < MOST_DETAILS:
            known.damages.append(f"at byte {gap.damage.offset}: {gap.damage.what}")
        known.end = 1 << 62
        self._open_gap = known

    def _conclude(self) -> None:
        for path, gaps in self._gaps.items():
            self._tell_gaps(path, gaps)
        self._conclude_misfits()
        if self._target is None:
            return
        at = self._target
        if at.seq < self._begin.seq and self._workspace.is_mounted:
            return  # a checkpoint was made since the index was copied
        if at.seq > self._lines.position.seq:
            if not self._gaps:
                ends = self._lines.position.seq
                what = f"the log ends at record {ends}, but the index has {at.seq}"
                self._tell(Finding(Kind.LOG_SHORT, "lookups", what))
            assert self._stored is not None
            self.basis = self._follow(self._stored, self._calendar)
            self._following = False
        else:
            what = f"it was made from another log: record {at.seq} of this one is not its last"
            self._tell(Finding(Kind.INDEX_DAMAGED, "index.sqlite", what))

    def _tell_gaps(self, path: str, gaps: _Gaps) -> None:
        affected = self._workspace.affected()
        if self._stored is not None:
            paths = Paths(self._stored, self._calendar)
            for row in self._stored.connection.execute(_INODES):
                if gaps.begin <= states.inode_of(row).last <= gaps.end:
                    affected.add(paths.live(row[0]))
        since, until = _time(gaps.begin), _time(gaps.end)
        what = f"damaged in {gaps.count} place(s): changes recorded between {since} and {until}"
        where = path[len(self._layout.root) + 1 :]
        self._tell(Finding(Kind.LOG_DAMAGED, where, what, affected, gaps.damages))

    def _conclude_misfits(self) -> None:
        basis = self.basis
        if basis.misfits:
            what = f"{basis.misfits} record(s) do not fit what is before them"
            self._tell(Finding(Kind.LOG_MISFIT, "lookups", what, (), basis.details))


def _time(t: int) -> str:
    if not 0 < t < 1 << 62:
        return "the beginning" if t <= 0 else "now"
    return datetime.fromtimestamp(t // 10**9, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
