"""From an inode to the paths below the mount point that show it, now and on past days."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from djafs.disk.index import Index
from djafs.model import LIVE_ROOT, Calendar

EVER = 1 << 40
"""A day after all others."""

_DEEPEST = 4096
"""Directories above a name; more is a cycle in a damaged index."""

_REMEMBERED = 1 << 14


class _Span(NamedTuple):
    """A name, and when it stood for an inode: from day ``begin`` to before day ``end``."""

    begin: int
    end: int
    parent: int
    name: bytes


class Paths:
    """Names what an index holds. Not fast: only what is damaged is named."""

    def __init__(self, index: Index, calendar: Calendar) -> None:
        self._index = index
        self._db = index.connection
        self._calendar = calendar
        self._directories: dict[tuple[int, int], str] = {}  # (inode, day), day EVER: now

    def live(self, ino: int) -> Iterator[str]:
        """Yield every path in ``live/`` of an inode."""
        if ino == LIVE_ROOT:
            yield "live"
        names = self._db.execute("SELECT parent, name FROM dentry WHERE ino = ?", (ino,))
        for parent, name in names.fetchall():
            yield self.entry(parent, name)

    def entry(self, parent: int, name: bytes) -> str:
        """Return the path of a name in a directory of the live tree."""
        return f"{self._directory(parent, EVER)}/{shown(name)}"

    def past(self, ino: int, day: int) -> Iterator[str]:
        """Yield the paths of the version of ``ino`` that began on ``day``.

        Each name once, on the first day whose snapshot shows that version under it.
        """
        end = self._end_of(ino, day)
        for span in self.spans(ino):
            first = max(span.begin, day)
            if first < min(span.end, end):
                yield self.past_entry(span.parent, span.name, first)

    def past_entry(self, parent: int, name: bytes, day: int) -> str:
        """Return the path of a name in the snapshot of a day."""
        return f"{self._directory(parent, day)}/{shown(name)}"

    def past_part(self, ino: int, part: int, until: int) -> Iterator[str]:
        """Yield the paths of all versions for which a row of ``past_part`` holds."""
        (before,) = self._db.execute(
            "SELECT coalesce(max(until), 0) FROM past_part"
            " WHERE ino = ? AND part = ? AND until < ?",
            (ino, part, until),
        ).fetchone()
        yield from self._versions(ino, before, until)

    def past_of_part(self, ino: int, version: int) -> Iterator[str]:
        """Yield the past versions that still share a live part, unchanged since ``version``."""
        yield from self._versions(ino, version - 1, EVER)

    def _versions(self, ino: int, above: int, most: int) -> Iterator[str]:
        query = "SELECT day FROM version WHERE ino = ? AND version > ? AND version <= ?"
        for (day,) in self._db.execute(query, (ino, above, most)).fetchall():
            yield from self.past(ino, day)

    def _end_of(self, ino: int, day: int) -> int:
        """Return the day on which the version that began on ``day`` was replaced."""
        row = self._db.execute(
            "SELECT min(day) FROM version WHERE ino = ? AND day > ?", (ino, day)
        ).fetchone()
        if row[0] is not None:
            return int(row[0])
        live = self._index.inode(ino)
        if live is not None and live.nlink:
            return self._calendar.day_of(live.effective())
        return EVER

    def spans(self, ino: int) -> list[_Span]:
        """Return every name that an inode has or had, as far as snapshots show it."""
        found = []
        query = "SELECT parent, name, day FROM binding WHERE ino = ?"
        for parent, name, day in self._db.execute(query, (ino,)).fetchall():
            found.append(_Span(day, self._end_of_binding(parent, name, day), parent, name))
        query = "SELECT parent, name FROM dentry WHERE ino = ?"
        for parent, name in self._db.execute(query, (ino,)).fetchall():
            found.append(_Span(self._begin_of_live(parent, name), EVER, parent, name))
        return found

    def _end_of_binding(self, parent: int, name: bytes, day: int) -> int:
        row = self._db.execute(
            "SELECT min(day) FROM binding WHERE parent = ? AND name = ? AND day > ?",
            (parent, name, day),
        ).fetchone()
        return EVER if row[0] is None else int(row[0])

    def _begin_of_live(self, parent: int, name: bytes) -> int:
        dentry = self._index.dentry(parent, name)
        inode = self._index.inode(dentry.ino) if dentry else None
        if dentry is None or inode is None:
            return EVER
        begin = self._calendar.day_of(inode.began(dentry.made) if dentry.made else dentry.begin)
        (last,) = self._db.execute(
            "SELECT coalesce(max(day), 0) FROM binding WHERE parent = ? AND name = ?",
            (parent, name),
        ).fetchone()
        return max(begin, int(last))

    def _directory(self, ino: int, day: int) -> str:
        """Return the path of a directory on a day (EVER: now)."""
        names: list[str] = []
        here = ino
        while here != LIVE_ROOT:
            if (known := self._directories.get((here, day))) is not None:
                break
            span = self._name_of(here, day)
            if span is None or len(names) > _DEEPEST:
                known = f"{_root(day)}/(inode {here}, which has no name)"
                break
            names.append(shown(span.name))
            here = span.parent
        else:
            known = _root(day)
        path = "/".join([known, *reversed(names)])
        if len(self._directories) >= _REMEMBERED:
            self._directories.clear()
        self._directories[ino, day] = path
        return path

    def _name_of(self, ino: int, day: int) -> _Span | None:
        """Return the name that a directory had on a day, the nearest one if it had none then."""
        spans = self.spans(ino)
        if day != EVER:
            within = [span for span in spans if span.begin <= day < span.end]
            # Its contents can make a directory older than its name.
            later = sorted(span for span in spans if span.begin > day)
            return next(iter([*within, *later, *spans]), None)
        row = self._db.execute(
            "SELECT parent, name FROM dentry WHERE ino = ? LIMIT 1", (ino,)
        ).fetchone()
        return _Span(0, EVER, *row) if row else None


def shown(name: bytes) -> str:
    r"""Return a name as text for people; bytes that are not UTF-8 become ``\xNN``."""
    return bytes(name).decode("utf-8", "backslashreplace")


def day_path(day: int) -> str:
    """Return the path of a snapshot, as ``snapshots/2026/09/20``."""
    try:
        moment = date.fromordinal(day)
    except (ValueError, OverflowError):
        return f"snapshots/(day {day})"
    return f"snapshots/{moment.year:04}/{moment.month:02}/{moment.day:02}"


def _root(day: int) -> str:
    return "live" if day == EVER else day_path(day)
