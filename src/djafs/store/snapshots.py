"""Snapshots: the tree at the end of a day, read from the index (docs/architecture.md).

Everything here is asked of the index alone, so it can be asked by any process; the daemon brings
the index up to date before it asks.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

from djafs.disk import rows, sqlite, states
from djafs.disk.index import Index
from djafs.disk.layout import Layout
from djafs.disk.names import by_name, key
from djafs.extents import Extent
from djafs.model import LIVE_ROOT, Calendar, Inode

_COLUMNS = f"d.name, d.cookie, d.begin, d.made, {states.INODE}"
_JOIN = "CROSS JOIN inode i ON i.ino = d.ino"
_LIVE_NAME = by_name(_COLUMNS, _JOIN)
_LIVE_PAGE = (
    f"SELECT {_COLUMNS} FROM dentry d {_JOIN} WHERE d.parent = ? AND d.cookie > ?"
    " ORDER BY d.cookie LIMIT ?"
)
_BINDINGS = "SELECT day, ino, made FROM binding WHERE parent = ? AND name = ? ORDER BY day"
_VERSION = f"SELECT {rows.VERSION} FROM version WHERE ino = ?"

NO_DAY = 1 << 30
"""Later than any day."""


class Found(NamedTuple):
    """A name in a snapshot. ``place`` orders the entries of a directory (Snapshots.entries)."""

    name: bytes
    inode: Inode
    place: Place


class Place(NamedTuple):
    """Where a listing of a snapshot goes on: behind a cookie of the live tree, or a past name."""

    cookie: int
    name: bytes | None = None


class _Span(NamedTuple):
    begin: int  # day
    ino: int | None
    recorded: int  # day in the index: later than ``begin`` for a directory that is older


class Snapshots:
    """Questions about past days, over one connection. Thread-safe."""

    def __init__(self, index: Index, calendar: Calendar) -> None:
        self._index = index
        self._calendar = calendar
        self._lock = threading.RLock()

    @property
    def _db(self) -> sqlite.Connection:
        return self._index.connection

    def reopen(self, layout: Layout) -> None:
        """Go on with another index, which has the name now (raises as :meth:`Index.reopen`)."""
        with self._lock:
            self._index.reopen(layout)

    # Days

    def days(self) -> list[int]:
        """Return the days that saw a change, ascending."""
        with self._lock:
            return [day for (day,) in self._db.execute("SELECT day FROM day ORDER BY day")]

    def first_day(self) -> int | None:
        """Return the first day that saw a change."""
        with self._lock:
            row = self._db.execute("SELECT min(day) FROM day").fetchone()
        return None if row is None else row[0]

    # Inodes

    def inode(self, ino: int, day: int) -> Inode | None:
        """Return the state of an inode at the end of ``day``."""
        with self._lock:
            row = self._db.execute(
                f"SELECT {states.INODE} FROM inode i WHERE ino = ? AND nlink > 0", (ino,)
            ).fetchone()
            return self._state(ino, states.inode_of(row) if row else None, day)

    def _state(self, ino: int, live: Inode | None, day: int) -> Inode | None:
        if live is not None and self._calendar.day_of(live.effective()) <= day:
            return live
        row = self._db.execute(
            _VERSION + " AND day <= ? ORDER BY day DESC LIMIT 1", (ino, day)
        ).fetchone()
        if row is None:
            # Shown although it began later: a directory that its contents make older.
            row = self._db.execute(_VERSION + " ORDER BY day LIMIT 1", (ino,)).fetchone()
            if row and live and self._calendar.day_of(live.effective()) <= row[1]:
                return live
        return rows.version_of(row) if row else live

    def version(self, state: Inode) -> Inode | None:
        """Return a state that :meth:`inode` once returned as the index holds it now."""
        with self._lock:
            live = self._index.inode(state.ino)
            if live is not None and live.version == state.version:
                return live
            row = self._db.execute(_VERSION + " AND version = ?", (state.ino, state.version))
            found = row.fetchone()
        return rows.version_of(found) if found else None

    def extents(self, state: Inode, part: int) -> list[Extent]:
        """Return what part ``part`` of a state that :meth:`inode` returned consists of."""
        if part == 0:
            return state.extents
        with self._lock:
            row = self._db.execute(
                "SELECT extents FROM past_part WHERE ino = ? AND part = ? AND until >= ?"
                " ORDER BY until LIMIT 1",
                (state.ino, part, state.version),
            ).fetchone()
            if row is None:
                row = self._db.execute(
                    "SELECT extents FROM part WHERE ino = ? AND part = ? AND version <= ?",
                    (state.ino, part, state.version),
                ).fetchone()
        return rows.unpack_extents(row[0]) if row else []

    def count_files(self, directory: int) -> int:
        """Return the names of regular files in and below a directory of the live tree."""
        with self._lock:
            return self._index.count_files(directory)

    # Names

    def lookup(self, parent: int, name: bytes, day: int) -> Inode | None:
        """Return the state of what ``name`` in directory ``parent`` was at the end of ``day``."""
        with self._lock:
            row = self._db.execute(_LIVE_NAME, key(parent, name)).fetchone()
            return self._resolve(parent, name, row, day)

    def _resolve(
        self, parent: int, name: bytes, row: rows.Row | None, day: int, past: bool = True
    ) -> Inode | None:
        """Return what a name was, given its live row; ``past`` is False if it has no history."""
        spans = self._spans(parent, name) if past else []
        if row is not None:
            live = states.inode_of(row[4:])
            if self._begin_day(row, live, spans) <= day:
                return self._state(live.ino, live, day)
        begun = [span for span in spans if span.begin <= day]
        ino = begun[-1].ino if begun else None
        return self.inode(ino, day) if ino is not None else None

    def _spans(self, parent: int, name: bytes) -> list[_Span]:
        """Return what a name stood for before it meant what it does now, in order."""
        found: list[_Span] = []
        before = 0  # a name never begins before the one before it ended
        for day, ino, made in self._db.execute(_BINDINGS, (parent, name)):
            since = self._since(ino) if ino is not None and made else NO_DAY
            if made == 2 and since > day:
                continue
            begin = max(min(day, since), before) if ino is not None else day
            found.append(_Span(begin, ino, before := day))
            if made == 2:
                found.append(_Span(day + 1, None, before := day + 1))
        return found

    def _begin_day(self, row: rows.Row, live: Inode, spans: list[_Span]) -> int:
        """Return the day on which a live name began to mean what it does."""
        begin, made = row[2] or 0, row[3] or 0
        day = self._calendar.day_of(live.began(made) if made else begin)
        if made == 1 and live.is_directory:
            day = min(day, self._since(live.ino))
        return max(day, spans[-1].recorded) if spans else day

    def _since(self, directory: int) -> int:
        """Return the day since which a directory is shown because of what is in it."""
        row = self._db.execute("SELECT day FROM since WHERE ino = ?", (directory,)).fetchone()
        since: int = row[0] if row else NO_DAY
        return since

    def entries(self, parent: int, after: Place | None, limit: int, day: int) -> list[Found]:
        """Return up to ``limit`` entries of a directory at the end of ``day``, behind ``after``.

        First come names that still mean what they meant then, in the order of the live tree, so
        that what lies side by side in an archive is read side by side; then past ones by name.
        """
        with self._lock:
            past = self._db.execute(
                "SELECT 1 FROM binding WHERE parent = ? LIMIT 1", (parent,)
            ).fetchone()
            found: list[Found] = []
            if after is None or after.name is None:
                self._add_live(found, parent, after.cookie if after else 0, limit, day, past)
                after = None
            if past and len(found) < limit:
                self._add_past(found, parent, (after and after.name) or b"", limit, day)
            return found

    def _add_live(
        self, found: list[Found], parent: int, cookie: int, limit: int, day: int, past: object
    ) -> None:
        while len(found) < limit:
            page = self._db.execute(_LIVE_PAGE, (parent, cookie, limit)).fetchall()
            for row in page:
                cookie = row[1]
                if not past or self._is_live(parent, row, day):
                    state = self._resolve(parent, row[0], row, day, past=bool(past))
                    if state is not None:
                        found.append(Found(row[0], state, Place(cookie)))
                        if len(found) == limit:
                            return
            if len(page) < limit:
                return

    def _is_live(self, parent: int, row: rows.Row, day: int) -> bool:
        """Return whether a live name with history is listed with the live ones."""
        spans = self._spans(parent, row[0])
        if not spans:
            return True
        return self._begin_day(row, states.inode_of(row[4:]), spans) <= day

    def _add_past(self, found: list[Found], parent: int, name: bytes, limit: int, day: int) -> None:
        query = "SELECT min(name) FROM binding WHERE parent = ? AND name > ?"
        while len(found) < limit:
            (following,) = self._db.execute(query, (parent, name)).fetchone()
            if following is None:
                return
            name = following
            row = self._db.execute(_LIVE_NAME, key(parent, name)).fetchone()
            if row is not None and self._is_live(parent, row, day):
                continue
            state = self._resolve(parent, name, row, day)
            if state is not None:
                found.append(Found(name, state, Place(0, name)))


ROOT = LIVE_ROOT
"""Inode number of the root of every snapshot."""
